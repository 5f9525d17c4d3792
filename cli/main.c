/* The dispatch table. */
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/words.h"

static const struct {
        const char *name;
        const char *summary; /* NULL: not for people */
        int (*run)(int argc, char **argv);
} commands[] = {
        {"mount", "show a class's objects as files", cli_mount},
        {"unmount", "take a mounted class away", cli_unmount},
        {"check", "parse and validate a class, offline", cli_check},
        {"get", "fetch once and print, without a mount", cli_get},
        {"doctor", "where it fails on the way to each object, and what to do", cli_doctor},
        {"refresh", "poll now", cli_refresh},
        {"status", "mounts, objects, versions, ages, errors", cli_status},
        {"upgrade", "put a new program in place, without a failed read", cli_upgrade},
        {"csi", "the CSI driver of a Kubernetes node", cli_csi},
        {"keeper", "the keeper of akvfs csi as a process of its own", cli_keeper},
        {"worker", NULL, cli_worker},
};

static void print_help(FILE *f)
{
        fputs("akvfs: Azure Key Vault as files\n"
              "\n"
              "  akvfs mount CLASS.yaml DIR [-o OPTIONS] [-f]\n"
              "  akvfs unmount DIR\n"
              "  akvfs check CLASS.yaml\n"
              "  akvfs get CLASS.yaml [FILE]\n"
              "  akvfs doctor CLASS.yaml [--json]\n"
              "  akvfs refresh [DIR]\n"
              "  akvfs status [DIR] [--json]\n"
              "  akvfs upgrade [DIR] [--binary FILE]\n"
              "  akvfs csi --nodeid NAME [OPTIONS]\n"
              "  akvfs keeper [OPTIONS]\n"
              "\n",
                f);
        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (commands[i].summary)
                        fprintf(f, "  %-8s  %s\n", commands[i].name, commands[i].summary);
        fputs("\n"
              "akvfs COMMAND --help says more, with examples; akvfs --version the version.\n"
              "Exit status: 0 done, 1 failed, 2 wrong use.\n",
                f);
}

static int unknown(const char *word)
{
        const char *names[ELEMENTSOF(commands)];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (commands[i].summary)
                        names[n++] = commands[i].name;
        const char *near = streq(word, "umount") ? "unmount" : words_nearest(word, names, n);
        fprintf(stderr, "akvfs: unknown command ");
        cli_put_text(stderr, word, 0);
        fputc('\n', stderr);
        if (near)
                fprintf(stderr, "  did you mean akvfs %s?\n", near);
        fputs("  see akvfs --help\n", stderr);
        return CLI_USAGE;
}

int main(int argc, char **argv)
{
        const char *self = argc > 0 && strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1
                           : argc > 0                        ? argv[0]
                                                             : "akvfs";

        if (streq(self, "mount.akvfs"))
                return cli_mount_helper(argc, argv);
        if (argc < 2) {
                print_help(stderr);
                return CLI_USAGE;
        }
        const char *word = argv[1];
        if (streq(word, "--version") || streq(word, "-V")) {
                puts("akvfs " AKVFS_VERSION);
                return cli_finish_output("--version");
        }
        if (streq(word, "--help") || streq(word, "-h") || streq(word, "help")) {
                print_help(stdout);
                return cli_finish_output("--help");
        }
        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (streq(word, commands[i].name))
                        return commands[i].run(argc - 1, argv + 1);
        return unknown(word);
}
