/* The running emulator: what all its parts share. */
#pragma once

#include "tests/emulator/http.h"
#include "tests/emulator/store.h"
#include "tests/emulator/token.h"

#define SERVICE_VERSION "1.9.3019.1"

struct faults;
struct reqlog;

/* Changed by the admin interface under the store's lock. */
struct settings {
        int64_t token_lifetime; /* seconds, of what Entra hands out */
        int64_t imds_lifetime;  /* seconds, of what IMDS hands out */
        int64_t page_size;      /* of lists, when the request names none */
};

extern const struct settings default_settings;

struct emulator {
        struct store *store;
        struct faults *faults;
        struct reqlog *log;
        struct token_signer signer;
        struct settings settings;
        char *authority; /* "https://localhost:8443": what a 401 names, without the tenant */
        int stop_fd;     /* eventfd: readable once the emulator is stopping */
        unsigned short https_port, imds_port, admin_port; /* 0: not listening */
};

/* Each takes a whole request and fills the answer. */
void handle_https(struct request *r, struct answer *a); /* router.c */
void handle_entra(struct request *r, struct answer *a); /* entra.c */
void handle_imds(struct request *r, struct answer *a);  /* imds.c */
void handle_admin(struct request *r, struct answer *a); /* admin.c */

/* Who sent it, from the token, and which party it is for: before any handler runs (router.c). */
void note_identity(struct request *r);
/* The answer of the party that r is for to a status it was told to give (router.c). */
void fault_status_answer(struct request *r, unsigned status, struct answer *a);
void imds_fault_answer(struct request *r, unsigned status, struct answer *a);
void entra_fault_answer(struct request *r, unsigned status, struct answer *a);
