/* A watch of the API server as bytes from the network: in pieces, into lines, into objects. The
 * first byte says how large the pieces are. */
#include "csi/kube.h"
#include "csi/kube_watch_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct kube_lines *lines)
{
        const char *line;
        size_t len;

        while (kube_lines_next(lines, &line, &len)) {
                _cleanup_kube_watch_line_ struct kube_watch_line l = {0};

                if (len == 0 || memchr(line, '\n', len))
                        abort();
                if (kube_watch_line_parse(line, len, &l) < 0) {
                        if (l.line)
                                abort();
                        continue;
                }
                bool an_error = l.type == KUBE_WATCH_EXPIRED || l.type == KUBE_WATCH_ERROR;
                if (!l.object || (!an_error && (!l.name || !*l.version)))
                        abort();
                if (l.version && strlen(l.version) > KUBE_VERSION_MAX)
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct kube_lines lines = {0};

        if (size == 0)
                return 0;
        size_t piece = (size_t)data[0] + 1;
        for (size_t at = 1; at < size; at += piece) {
                if (kube_lines_add(&lines, (const char *)data + at, MIN(piece, size - at)) < 0)
                        break;
                take(&lines);
        }
        kube_lines_done(&lines);
        return 0;
}
