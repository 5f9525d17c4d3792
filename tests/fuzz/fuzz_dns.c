/* What a DNS server answers, and resolv.conf. */
#include "base/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct dns_server servers[DNS_SERVERS_MAX];
        struct dns_answer a;
        _cleanup_free_ char *text = strndup((const char *)data, size);

        if (dns_servers(text, servers, DNS_SERVERS_MAX) > DNS_SERVERS_MAX)
                abort();
        (void)dns_server_parse(text, &servers[0]);
        if (dns_parse(data, size, 0x1234, "v.vault.azure.net", &a) < 0)
                return 0;
        if (a.n_aliases > DNS_ALIASES_MAX || a.n_addresses > DNS_ADDRESSES_MAX)
                abort();
        for (size_t i = 0; i < a.n_aliases; i++)
                if (strnlen(a.aliases[i], DNS_NAME_MAX) == DNS_NAME_MAX)
                        abort();
        return 0;
}
