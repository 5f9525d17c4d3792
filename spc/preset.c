#include "spc/preset.h"

const char *const spc_preset_names[] = {
        [SPC_PRESET_NONE] = "none",
        [SPC_PRESET_FOLDERS] = "folders",
        [SPC_PRESET_UPPER_SNAKE] = "upper-snake",
        NULL,
};

/* From the left, so that "a---b" is "a/-b". */
static void make_folders(char *s)
{
        char *out = s;

        for (; *s; s++)
                if (s[0] == '-' && s[1] == '-') {
                        *out++ = '/';
                        s++;
                } else
                        *out++ = *s;
        *out = '\0';
}

/* ASCII alone, whatever the locale says. */
static void make_upper_snake(char *s)
{
        for (; *s; s++)
                if (*s == '-')
                        *s = '_';
                else if (*s >= 'a' && *s <= 'z')
                        *s = (char)(*s - 'a' + 'A');
}

int spc_preset_apply(enum spc_preset preset, const char *name, char **ret)
{
        char *copy = strdup(name);

        if (!copy)
                return -ENOMEM;
        switch (preset) {
        case SPC_PRESET_NONE:
                break;
        case SPC_PRESET_FOLDERS:
                make_folders(copy);
                break;
        case SPC_PRESET_UPPER_SNAKE:
                make_upper_snake(copy);
                break;
        }
        *ret = copy;
        return 0;
}
