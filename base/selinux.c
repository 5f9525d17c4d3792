#include "base/selinux.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define WORD LETTERS "_.-"
#define LEVEL LETTERS "_.-:,"

bool selinux_context_is_plain(const char *s)
{
        if (strlen(s) >= SELINUX_CONTEXT_SIZE)
                return false;
        for (unsigned part = 0; part < 3; part++) {
                size_t n = strspn(s, WORD);

                if (n == 0)
                        return false;
                s += n;
                if (part == 2 && !*s)
                        return true;
                if (*s++ != ':')
                        return false;
        }
        size_t n = strspn(s, LEVEL);
        return n > 0 && !s[n] && s[n - 1] != ':' && s[n - 1] != ',';
}
