#include "vault/chain.h"

#include <criterion/criterion.h>

#include "pki.h"

enum { LEAF, INTER, ROOT, OTHER, ROOT_BARE, INTER_BARE, LEAF_BARE, LEAF_NO_SKI, TWIN, N };

static X509 *pool[N];

static void make_pool(void)
{
        EVP_PKEY *leaf = pki_key("P-256"), *inter = pki_key("P-256"), *root = pki_key("P-256"),
                 *other = pki_key("P-256");

        pool[ROOT] = pki_cert(root, "root", NULL, NULL, 0);
        pool[INTER] = pki_cert(inter, "inter", root, pool[ROOT], 0);
        pool[LEAF] = pki_cert(leaf, "leaf", inter, pool[INTER], 0);
        pool[OTHER] = pki_cert(other, "other", NULL, NULL, 0);
        pool[ROOT_BARE] = pki_cert(root, "root", NULL, NULL, PKI_NO_AKI);
        pool[INTER_BARE] = pki_cert(inter, "inter", root, pool[ROOT], PKI_NO_AKI | PKI_NO_SKI);
        pool[LEAF_BARE] = pki_cert(leaf, "leaf", inter, pool[INTER], PKI_NO_AKI | PKI_NO_SKI);
        pool[LEAF_NO_SKI] = pki_cert(leaf, "leaf", inter, pool[INTER], PKI_NO_SKI);
        pool[TWIN] = pki_cert(root, "twin", NULL, NULL, 0);
        EVP_PKEY_free(leaf);
        EVP_PKEY_free(inter);
        EVP_PKEY_free(root);
        EVP_PKEY_free(other);
}

static void free_pool(void)
{
        for (size_t i = 0; i < N; i++)
                X509_free(pool[i]);
}

TestSuite(chain, .init = make_pool, .fini = free_pool);

struct chain_case {
        int in[5];
        size_t n;
        int out[5];
        bool incomplete;
        const char *error;
};

static void run(const struct chain_case *c)
{
        _cleanup_err_ struct err e = {0};
        X509 *certs[5];
        size_t order[5];
        bool incomplete = !c->incomplete;

        for (size_t i = 0; i < c->n; i++)
                certs[i] = pool[c->in[i]];
        int r = chain_order(certs, c->n, order, &incomplete, &e);
        if (c->error) {
                cr_expect(r == -EBADMSG, "%d", r);
                cr_expect_str_eq(err_text(&e), c->error);
                return;
        }
        cr_assert(r == 0, "%s", err_text(&e));
        cr_expect_eq(incomplete, c->incomplete);
        for (size_t i = 0; i < c->n; i++)
                cr_expect(certs[order[i]] == pool[c->out[i]], "place %zu", i);
}

Test(chain, is_leaf_to_root_in_whatever_order_it_comes)
{
        static const struct chain_case cases[] = {
                {{LEAF}, 1, {LEAF}, false, NULL},
                {{LEAF, INTER, ROOT}, 3, {LEAF, INTER, ROOT}, false, NULL},
                {{LEAF, ROOT, INTER}, 3, {LEAF, INTER, ROOT}, false, NULL},
                {{INTER, LEAF, ROOT}, 3, {LEAF, INTER, ROOT}, false, NULL},
                {{INTER, ROOT, LEAF}, 3, {LEAF, INTER, ROOT}, false, NULL},
                {{ROOT, LEAF, INTER}, 3, {LEAF, INTER, ROOT}, false, NULL},
                {{ROOT, INTER, LEAF}, 3, {LEAF, INTER, ROOT}, false, NULL},
                {{INTER, LEAF}, 2, {LEAF, INTER}, false, NULL},
                {{ROOT, INTER, LEAF_NO_SKI}, 3, {LEAF_NO_SKI, INTER, ROOT}, false, NULL},
                {{ROOT_BARE, INTER, LEAF}, 3, {LEAF, INTER, ROOT_BARE}, false, NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run(&cases[i]);
}

Test(chain, keeps_the_order_of_what_is_incomplete)
{
        static const struct chain_case cases[] = {
                {{ROOT, LEAF}, 2, {ROOT, LEAF}, true, NULL},
                {{OTHER, ROOT, INTER, LEAF}, 4, {OTHER, ROOT, INTER, LEAF}, true, NULL},
                {{ROOT, INTER, LEAF, OTHER}, 4, {ROOT, INTER, LEAF, OTHER}, true, NULL},
                {{ROOT_BARE, INTER, LEAF, ROOT_BARE}, 4, {ROOT_BARE, INTER, LEAF, ROOT_BARE}, true,
                        NULL},
                {{ROOT_BARE, INTER_BARE, LEAF_BARE}, 3, {ROOT_BARE, INTER_BARE, LEAF_BARE}, true,
                        NULL},
                {{LEAF, LEAF, INTER}, 3, {LEAF, LEAF, INTER}, true, NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run(&cases[i]);
}

Test(chain, refuses_what_has_no_leaf_or_no_end)
{
        static const struct chain_case cases[] = {
                {{0}, 0, {0}, false, "no leaf found"},
                {{ROOT, ROOT}, 2, {0}, false, "no leaf found"},
                {{ROOT, TWIN}, 2, {0}, false, "no leaf found"},
                {{LEAF, INTER, ROOT, ROOT}, 4, {0}, false, "constructing chain resulted in cycle"},
                {{ROOT, TWIN, INTER, LEAF}, 4, {0}, false, "constructing chain resulted in cycle"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run(&cases[i]);
}

Test(chain, has_a_cap)
{
        X509 *certs[CHAIN_MAX + 1];
        size_t order[CHAIN_MAX + 1];
        bool incomplete;

        for (size_t i = 0; i <= CHAIN_MAX; i++)
                certs[i] = pool[OTHER];
        certs[0] = pool[LEAF];
        cr_expect(chain_order(certs, CHAIN_MAX, order, &incomplete, NULL) == 0);
        cr_expect(chain_order(certs, CHAIN_MAX + 1, order, &incomplete, NULL) == -E2BIG);
}
