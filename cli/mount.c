/* `akvfs mount CLASS.yaml DIR` and mount(8)'s mount.akvfs: words, and what is checked before
 * anything is started. cli/mount_client.c does the rest. */
#include "base/wipe.h"
#include "cli/class_file.h"
#include "cli/cli.h"
#include "cli/deadmount.h"
#include "cli/hygiene.h"
#include "cli/identity_find.h"
#include "cli/mount_client.h"
#include "cli/mountpoint.h"
#include "cli/rundir.h"
#include "cli/words.h"

static const char help[] =
        "akvfs mount CLASS.yaml DIR [-f] [-o OPTIONS] [OPTIONS]\n"
        "\n"
        "Shows the objects of a SecretProviderClass as read-only files in DIR, an empty folder, and\n"
        "keeps them current. Returns when every object is readable; if one cannot be fetched, says\n"
        "why for each and leaves nothing mounted. CLASS.yaml may be - for standard input.\n"
        "\n"
        "  -f, --foreground           stay here, log to standard error; SIGTERM and SIGINT unmount\n"
        "                             and end, SIGHUP polls now (for systemd: Type=notify works)\n"
        "  --keep-on-restart          with -f, in a unit with FileDescriptorStoreMax=: systemctl\n"
        "                             restart, and the end of all processes at once, keep the mount\n"
        "  -o KEY=VALUE,...           any option below, written with _ for -\n"
        "\n"
        "How it looks:\n"
        "  --poll-interval TIME       how often each object is polled: 30s, 2m (default), 1h30m;\n"
        "                             off polls on akvfs refresh and SIGHUP only\n"
        "  --uid USER, --gid GROUP    owner of the files; default: who mounts\n"
        "  --mode MODE                of files without filePermission; default 0644\n"
        "  --allow-other, --no-allow-other\n"
        "                             whether other users may look (as the modes say); root's\n"
        "                             default is yes, others' no\n"
        "  --xattr                    show user.akvfs.* attributes\n"
        "  --audit                    log each open with who it is; each open and read then costs a\n"
        "                             request, and the mount cannot be id-mapped\n"
        "  --on-deleted, --on-disabled, --on-expired, --on-forbidden keep|remove\n"
        "                             what happens to the file of an object in that state: keep\n"
        "                             (default) its last bytes, or remove it (forbidden: refuse it);\n"
        "                             a vault that does not answer always means keep\n"
        "  --secret-memory WHAT       require: no mount unless values are in memory that is never\n"
        "                             swapped; prefer (default): warn\n"
        "\n"
        "Logging of the background processes, decided by the first mount of a user:\n"
        "  --log syslog|FILE          default: syslog where /dev/log exists, else akvfs.log in the\n"
        "                             control directory (/run/akvfs for root, $XDG_RUNTIME_DIR/akvfs\n"
        "                             or /tmp/akvfs-UID for others); with -f: stderr\n"
        "  --log-level LEVEL          error, warning, info (default) or debug\n"
        "  --log-json                 one JSON object a line\n";

static const char help_examples[] =
        "\n"
        "All mounts of a user share one worker process, which ends with the last of them.\n"
        "\n"
        "Exit status: 0 mounted (-f: and unmounted again), 1 not, 2 wrong use.\n"
        "\n"
        "Examples:\n"
        "  akvfs mount class.yaml /mnt/secrets\n"
        "  akvfs mount class.yaml /mnt/secrets -f -o poll_interval=30s,mode=0440,gid=www-data\n"
        "  in /etc/fstab:\n"
        "  /etc/akvfs/class.yaml /mnt/secrets akvfs _netdev,env_file=/etc/akvfs/azure.env 0 0\n";

static const char help_helper[] =
        "mount.akvfs CLASS.yaml DIR [-sfnv] [-o OPTIONS]\n"
        "\n"
        "Called by mount(8) for `mount -t akvfs CLASS.yaml DIR` and lines of /etc/fstab. The same as\n"
        "akvfs mount CLASS.yaml DIR -o OPTIONS; options of mount(8) itself (rw, noauto, _netdev,\n"
        "nofail, user, x-...) are passed over. -f checks the class and the folder and mounts\n"
        "nothing. See akvfs mount --help for the options.\n";

struct words_of_mount {
        const char *class_path, *dir;
        bool foreground;
        bool keep; /* a restart of the service keeps the mount */
        struct restore *restore;
        bool helper; /* called by mount(8) */
        bool fake;   /* mount(8) -f */
        bool help;
};

static void warn(const char *text)
{
        cli_warn("mount", "%s", text);
}

/* What a short interval means is said in the unit that vaults are billed and throttled in. */
static void warn_if_frequent(const struct spc_class *class, usec_t interval)
{
        size_t polled = 0;
        char text[64];

        if (interval == 0 || interval >= OPTIONS_POLL_FREQUENT)
                return;
        for (size_t i = 0; i < class->n_objects; i++)
                if (!*class->objects[i].version)
                        polled++;
        double day = 86400.0 * (double)USEC_PER_SEC / (double)interval * (double)polled;
        cli_warn("mount",
                "poll_interval=%s means about %.0f requests a day to vault %s (%zu %s); vaults "
                "throttle and bill by request",
                options_format_interval(interval, text), day, class->vault, polled,
                polled == 1 ? "object" : "objects");
}

/* restored: what is mounted there is ours to go on with. */
static int prepare(struct options *o, struct mount_request *q, bool restored, struct err *e)
{
        _cleanup_credentials_ struct credentials found = {0};

        q->allow_other = o->allow_other < 0 ? geteuid() == 0 : o->allow_other > 0;
        int r = options_resolve_files(o, e);
        if (r == 0 && !restored)
                r = mountpoint_check(q->mountpoint, e);
        if (r == 0)
                r = mountpoint_check_machine(q->allow_other, e);
        if (r == 0)
                r = credentials_find(o, warn, &found, e);
        if (r == 0)
                r = identity_resolve(q->class, o, &found, warn, &q->identity, e);
        if (r == 0)
                r = vault_urls_resolve(q->class, o->vault_url, &q->vaults, e);
        if (r == 0)
                r = identity_find_sni(&q->identity, e);
        if (r == 0)
                r = identity_read_ca(&q->identity, e);
        if (r < 0)
                return r;
        warn_if_frequent(q->class, o->poll_interval);
        q->poll_interval = o->poll_interval;
        q->uid = o->uid;
        q->gid = o->gid;
        q->mode = o->mode;
        q->xattr = o->xattr;
        q->audit = o->audit;
        q->shape = o->shape;
        q->policy = o->policy;
        q->secret_memory_required = o->secret_memory_required;
        return 0;
}

/* `mount -a` asks the helper for each line whose source mountinfo does not show, and mountinfo
 * shows the class, not its file. A class that is there already is what the line asks for. */
static bool is_there(const struct words_of_mount *w, const struct mount_request *q)
{
        _cleanup_free_ char *class = NULL;

        return w->helper && mountpoint_class(q->mountpoint, &class) > 0 &&
               streq(class, q->class->name);
}

static int mount_class(const struct words_of_mount *w, struct options *o)
{
        _cleanup_mount_request_ struct mount_request q = {0};
        _cleanup_err_ struct err e = {0};

        if (!w->foreground && o->log && streq(o->log, "stderr")) {
                err_set_cause(&e, ERR_USAGE, -EINVAL, "log=stderr needs -f");
                err_hint(&e, "in the background log to syslog or to a file");
                return cli_usage("mount", &e);
        }
        int r = hygiene_protect();
        if (r == 0)
                r = wipe_install();
        if (r < 0)
                return cli_fail("mount", (err_set(&e, r, "could not start: %s", strerror(-r)), &e));
        if (cli_load_class(w->class_path, o->class_name, &q.class) < 0)
                return CLI_FAILED;
        r = mountpoint_resolve(w->dir, &q.mountpoint, &e);
        /* One that the service manager holds has nobody who serves it, and is not dead. */
        bool restored = r == 0 && w->restore && restore_has(w->restore, q.mountpoint);
        if (r == 0 && !w->fake && !restored)
                r = deadmount_clear(q.mountpoint, &e);
        if (r == 0 && is_there(w, &q))
                return CLI_DONE;
        if (r == 0)
                r = prepare(o, &q, restored, &e);
        if (r < 0)
                return cli_fail("mount", &e);
        if (w->fake)
                return CLI_DONE;
        const struct foreground_options f = {.keep = w->keep, .restore = w->restore};
        return w->foreground ? mount_in_foreground(&q, o, &f) : mount_in_background(&q, o);
}

static int plain_word(struct words_of_mount *w, const char *value, struct err *e)
{
        if (!w->class_path)
                w->class_path = value;
        else if (!w->dir)
                w->dir = value;
        else
                return err_set_cause(e, ERR_USAGE, -EINVAL, "word %s was not expected", value);
        return 0;
}

static int check_words(const struct words_of_mount *w, struct err *e)
{
        if (w->keep && !w->foreground)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "--keep-on-restart needs -f");
        if (!w->class_path)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "which CLASS.yaml, and on which DIR?");
        if (!w->dir)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "on which DIR?");
        return 0;
}

static int parse(int argc, char **argv, struct words_of_mount *w, struct options *o, struct err *e)
{
        struct word table[48];
        struct words words;
        const char *value = NULL;
        size_t n = 0;
        int id = 0, r;

        const struct word *all = options_words(false, &n);
        memcpy(table, all, n * sizeof *table);
        table[n++] = (struct word){"help", 'h', false, 'h'};
        table[n++] = (struct word){"foreground", 'f', false, 'f'};
        table[n++] = (struct word){"keep-on-restart", 0, false, 'k'};
        table[n++] = (struct word){NULL, 'o', true, 'o'};

        words_init(&words, argc, argv);
        while ((r = words_next(&words, table, n, &id, &value, e)) > 0) {
                if (id == 'h') {
                        w->help = true;
                        return 0;
                }
                if (id == 'f')
                        w->foreground = true;
                else if (id == 'k')
                        w->keep = true;
                else if (id == 'o')
                        r = options_parse(o, value, false, e);
                else if (id == WORD_PLAIN)
                        r = plain_word(w, value, e);
                else
                        r = options_set_word(o, id, value, e);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : check_words(w, e);
}

static void abandon(struct restore *restore)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};
        _cleanup_close_ int lock = -EBADF;
        _cleanup_err_ struct err e = {0};

        restore_abandon(restore);
        if (rundir_open(false, &d, &e) == 0 && rundir_lock(&d, &lock, &e) == 0)
                rundir_sweep(&d);
}

int cli_mount(int argc, char **argv)
{
        _cleanup_(options_done) struct options o;
        _cleanup_err_ struct err e = {0};
        struct words_of_mount w = {0};

        options_init(&o);
        if (parse(argc, argv, &w, &o, &e) < 0)
                return cli_usage("mount", &e);
        if (w.help) {
                printf("%s\n%s%s", help, options_help_endpoints, help_examples);
                return cli_finish_output("mount");
        }
        if (!w.keep)
                return mount_class(&w, &o);
        struct restore *restore = malloc(sizeof *restore);
        if (!restore)
                return cli_fail("mount", (err_set(&e, -ENOMEM, "out of memory"), &e));
        w.restore = restore_find(restore) ? restore : NULL;
        int status = mount_class(&w, &o);
        /* Of a start that came to nothing, nothing is left. */
        if (w.restore && restore->n > 0)
                abandon(restore);
        restore_done(restore);
        free(restore);
        return status;
}

static int parse_helper(
        int argc, char **argv, struct words_of_mount *w, struct options *o, struct err *e)
{
        /* mount(8), EXTERNAL HELPERS */
        static const struct word table[] = {
                {"help", 'h', false, 'h'},
                {NULL, 's', false,
                        's'}, /* tolerate sloppy options: unknown ones stay errors here */
                {NULL, 'f', false, 'f'},                        /* fake */
                {NULL, 'n', false, 'n'},                        /* no mtab */
                {NULL, 'v', false, 'v'},                        /* verbose */
                {NULL, 'o', true, 'o'}, {NULL, 't', true, 't'}, /* type */
                {NULL, 'N', true, 'N'}, /* namespace: mount(8) has entered it */
        };
        struct words words;
        const char *value = NULL;
        int id = 0, r;

        words_init(&words, argc, argv);
        while ((r = words_next(&words, table, ELEMENTSOF(table), &id, &value, e)) > 0) {
                if (id == 'h') {
                        w->help = true;
                        return 0;
                }
                if (id == 'f')
                        w->fake = true;
                else if (id == 'o')
                        r = options_parse(o, value, true, e);
                else if (id == WORD_PLAIN)
                        r = plain_word(w, value, e);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : check_words(w, e);
}

int cli_mount_helper(int argc, char **argv)
{
        _cleanup_(options_done) struct options o;
        _cleanup_err_ struct err e = {0};
        struct words_of_mount w = {.helper = true};

        options_init(&o);
        if (parse_helper(argc, argv, &w, &o, &e) < 0)
                return cli_usage("mount", &e);
        if (w.help) {
                fputs(help_helper, stdout);
                return cli_finish_output("mount");
        }
        return mount_class(&w, &o);
}
