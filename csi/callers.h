/* The callers that wait for one thing, and what each is told.
 *
 * Nobody is made to wait past the deadline: shortly before it, so that the answer arrives in time,
 * a bounded caller is told how far things have come. One that has given up by itself is forgotten.
 * Loop thread only.
 */
#pragma once

#include "csi/rpc.h"

struct caller;

struct callers {
        struct loop *loop;
        struct caller *list;
        /* What somebody is told whose deadline is near; the caller of it frees the text; NULL
         * without memory. Needed for bounded ones. */
        char *(*late)(void *userdata);
        /* Optional: the last one gave up, or was told so. */
        void (*nobody)(void *userdata);
        void *userdata;
};

/* -ENOMEM; then the call has been answered. bounded: its deadline counts. */
int callers_add(struct callers *c, struct rpc_call *call, bool bounded);
/* Ends every call: with an empty message when the code is RPC_OK. `nobody` is not called. */
void callers_answer(struct callers *c, enum rpc_code code, const char *text);
