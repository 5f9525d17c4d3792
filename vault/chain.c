#include "vault/chain.h"

#include <openssl/x509v3.h>

static bool is_parent(X509 *child, X509 *candidate)
{
        const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(child);
        const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(candidate);
        int a = aki ? ASN1_STRING_length(aki) : 0, s = ski ? ASN1_STRING_length(ski) : 0;

        /* Neither is given: the two say nothing of each other. */
        if (a <= 0 || a != s)
                return false;
        return memcmp(ASN1_STRING_get0_data(aki), ASN1_STRING_get0_data(ski), (size_t)a) == 0;
}

int chain_order(X509 *const *certs, size_t n, size_t *order, bool *ret_incomplete, struct err *e)
{
        size_t parent[CHAIN_MAX]; /* n: none */
        bool parents[CHAIN_MAX] = {false};
        size_t leaf = 0, walked = 0;

        if (n > CHAIN_MAX)
                return err_set(e, -E2BIG, "more than %zu certificates", CHAIN_MAX);
        for (size_t i = 0; i < n; i++) {
                parent[i] = n;
                for (size_t k = 0; k < n && parent[i] == n; k++)
                        if (k != i && is_parent(certs[i], certs[k])) {
                                parent[i] = k;
                                parents[k] = true;
                        }
        }
        while (leaf < n && parents[leaf])
                leaf++;
        if (leaf == n)
                return err_set(e, -EBADMSG, "no leaf found");
        for (size_t i = leaf; i != n; i = parent[i]) {
                if (walked == n)
                        return err_set(e, -EBADMSG, "constructing chain resulted in cycle");
                order[walked++] = i;
        }
        *ret_incomplete = walked != n;
        if (walked != n)
                for (size_t i = 0; i < n; i++)
                        order[i] = i;
        return 0;
}
