/* What `akvfs doctor` found: a line each, at once for people or all together as JSON. */
#pragma once

#include "base/err.h"
#include "base/json.h"

enum doctor_state { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_FAIL, DOCTOR_SKIP };

/* In the order in which they are looked at; each has its own exit status. */
enum doctor_check {
        DOCTOR_CLASS,
        DOCTOR_IDENTITY,
        DOCTOR_DNS,
        DOCTOR_PROXY,
        DOCTOR_TCP,
        DOCTOR_TLS,
        DOCTOR_CLOCK,
        DOCTOR_VAULT,
        DOCTOR_TOKEN,
        DOCTOR_OBJECT,
};
const char *doctor_check_name(enum doctor_check c);
/* 10 for DOCTOR_CLASS, and so on. */
#define DOCTOR_STATUS_FIRST 10

struct doctor_report {
        cJSON *checks; /* with --json; else lines are printed as they come */
        bool colours;
        int status; /* 0, or that of the first failure */
};

int doctor_report_begin(struct doctor_report *r, bool json);
/* subject: the vault, object, resolver, ... it is about, or NULL. hint may be NULL. */
void doctor_say(struct doctor_report *r, enum doctor_check c, enum doctor_state state,
        const char *subject, const char *hint, const char *fmt, ...) _printf_(6, 7);
/* A failure with its own text and hint. */
void doctor_fail(
        struct doctor_report *r, enum doctor_check c, const char *subject, const struct err *e);
/* Prints the JSON; the exit status. */
int doctor_report_end(struct doctor_report *r, const char *class);
