#include "vault/text.h"

#define TOKEN_MIN 16
#define ELLIPSIS "..."

static bool is_token_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.' || c == '=' || c == '+' || c == '/';
}

/* Length of a token that begins here, 0 if none does: base64 of `{"` begins "eyJ". */
static size_t token_length(const char *s, size_t left)
{
        size_t n = 0;

        if (left < 3 || memcmp(s, "eyJ", 3) != 0)
                return 0;
        while (n < left && is_token_char(s[n]))
                n++;
        return n >= TOKEN_MIN ? n : 0;
}

char *oneline(const char *s, size_t len)
{
        static const char hidden[] = "[token]";
        size_t done = 0, i = 0;

        char *out = malloc(ONELINE_MAX + sizeof(hidden) + sizeof(ELLIPSIS));
        if (!out)
                return NULL;
        while (i < len && done < ONELINE_MAX) {
                unsigned char c = (unsigned char)s[i];
                size_t token = token_length(s + i, len - i);
                if (token > 0) {
                        memcpy(out + done, hidden, sizeof(hidden) - 1);
                        done += sizeof(hidden) - 1;
                        i += token;
                        continue;
                }
                if (c <= ' ' || c == 0x7f) {
                        if (done > 0 && out[done - 1] != ' ')
                                out[done++] = ' ';
                } else
                        out[done++] = c < 0x7f ? (char)c : '?';
                i++;
        }
        while (done > 0 && out[done - 1] == ' ')
                done--;
        if (i < len) {
                memcpy(out + done, ELLIPSIS, sizeof(ELLIPSIS) - 1);
                done += sizeof(ELLIPSIS) - 1;
        }
        out[done] = '\0';
        return out;
}
