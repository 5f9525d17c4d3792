/* The Azure clouds: where tokens come from and what vaults are called (reference section 3.7). */
#pragma once

#include "base/err.h"

struct cloud {
        char *name;
        char *authority;      /* "https://login.microsoftonline.com/", with the slash */
        char *vault_resource; /* "https://vault.azure.net", no slash: the token's resource; its
                                 scope is this plus "/.default" */
        char *vault_suffix;   /* "vault.azure.net" */
};

/* Name without regard to case; "" is the public cloud. env_file is the Azure Stack environment file
 * (cloudEnvFileName), read for AzureStackCloud only; "" falls back to AZURE_ENVIRONMENT_FILEPATH.
 * *ret is filled and owned by the caller (cloud_done). */
int cloud_find(const char *name, const char *env_file, struct cloud *ret, struct err *e);
void cloud_done(struct cloud *c);
