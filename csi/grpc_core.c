#include "csi/grpc_core.h"

#include <dlfcn.h>

static const struct {
        const char *name;
        size_t offset;
} functions[] = {
#define X(name) {#name, offsetof(struct grpc_core, name)},
        GRPC_CORE_FUNCTIONS(X)
#undef X
};

int grpc_core_load(const char *library, struct grpc_core *ret, struct err *e)
{
        struct grpc_core core;

        void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!handle) {
                err_set_cause(
                        e, ERR_LOCAL, -ELIBACC, "the gRPC library cannot be loaded: %s", dlerror());
                err_hint(e,
                        "akvfs csi needs %s: install libgrpc, as deploy/image/packages names it",
                        library);
                return -ELIBACC;
        }
        for (size_t i = 0; i < ELEMENTSOF(functions); i++) {
                void *function = dlsym(handle, functions[i].name);

                if (!function) {
                        err_set_cause(e, ERR_LOCAL, -ELIBBAD, "the gRPC library %s has no %s",
                                library, functions[i].name);
                        err_hint(e, "install the one that akvfs was built with");
                        return -ELIBBAD;
                }
                memcpy((char *)&core + functions[i].offset, &function, sizeof function);
        }
        *ret = core;
        return 0;
}
