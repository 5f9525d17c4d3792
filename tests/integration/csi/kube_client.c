/* csi/kube* driven by words, for tests: kube-client SERVER TOKEN_FILE CA_FILE
 *
 *     get PATH | create PATH JSON | patch PATH JSON | delete PATH
 *     watch NAMESPACE NAME
 *     event NAMESPACE POD UID REASON MESSAGE...
 *
 * one a line on standard input, and a JSON object a line on standard output: {"status", "object",
 * "error", "cause"} for an answer, {"changed": NAMESPACE/NAME, "object"} and {"trouble": text} for
 * a watch. Ends with its input.
 */
#include <stdio.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/wipe.h"
#include "csi/kube.h"
#include "csi/kube_events.h"
#include "csi/kube_watch.h"

#define WATCHES_MAX 64
/* Pauses are shorter here, and as many. */
#define SECOND (USEC_PER_SEC / 20)

struct driver {
        struct loop *loop;
        struct http_client *http;
        struct kube *kube;
        struct kube_events *events;
        struct watched {
                struct kube_watch *watch;
                char *name;
        } watches[WATCHES_MAX];
        size_t n_watches;
        char line[64 << 10];
        size_t len;
};

static void print(cJSON *line)
{
        char *text = cJSON_PrintUnformatted(line);

        printf("%s\n", text ? text : "out of memory");
        fflush(stdout);
        erase_and_free(text);
        cJSON_Delete(line);
}

static cJSON *about(const cJSON *object, const char *error)
{
        cJSON *line = cJSON_CreateObject();

        cJSON_AddItemToObject(
                line, "object", object ? cJSON_Duplicate(object, true) : cJSON_CreateNull());
        if (error)
                cJSON_AddStringToObject(line, "error", error);
        return line;
}

static void on_done(void *userdata, const cJSON *answer, int status, const struct err *error)
{
        cJSON *line = about(answer, error ? err_text(error) : NULL);

        cJSON_AddNumberToObject(line, "status", status);
        if (error)
                cJSON_AddStringToObject(line, "cause", err_cause_name(error->cause));
        print(line);
}

static void on_changed(void *userdata, const cJSON *object)
{
        const struct watched *w = userdata;
        cJSON *line = about(object, NULL);

        cJSON_AddStringToObject(line, "changed", w->name);
        print(line);
}

static void on_trouble(void *userdata, const struct err *error)
{
        cJSON *line = cJSON_CreateObject();

        cJSON_AddStringToObject(line, "trouble", error ? err_text(error) : "");
        print(line);
}

static int watch(struct driver *d, const char *namespace, const char *name)
{
        static const struct kube_watch_events events = {
                .changed = on_changed, .trouble = on_trouble};
        _cleanup_free_ char *path = NULL;

        if (d->n_watches == WATCHES_MAX)
                return -E2BIG;
        struct watched *w = &d->watches[d->n_watches];
        int r = kube_class_path(namespace, NULL, &path);
        if (r == 0)
                r = xasprintf(&w->name, "%s/%s", namespace, name);
        if (r == 0)
                r = kube_watch_new(d->kube, d->loop, path, name, &events, w, &w->watch);
        if (r == 0)
                d->n_watches++;
        return r;
}

static int say_event(struct driver *d, char *words)
{
        char *word[5];

        for (size_t i = 0; i < ELEMENTSOF(word); i++)
                if (!(word[i] = i < 4 ? strsep(&words, " ") : words))
                        return -EINVAL;
        kube_events_say(d->events, &(struct kube_event){.namespace = word[0],
                                           .pod = word[1],
                                           .uid = word[2],
                                           .warning = true,
                                           .reason = word[3],
                                           .message = word[4]});
        return 0;
}

static int request(struct driver *d, const char *verb, char *words, struct err *e)
{
        _cleanup_json_ cJSON *body = NULL;
        const char *path = strsep(&words, " ");

        if (words && json_parse(words, strlen(words), &body) < 0)
                return -EINVAL;
        if (streq(verb, "get"))
                return kube_get(d->kube, path, on_done, d, NULL, e);
        if (streq(verb, "delete"))
                return kube_delete(d->kube, path, on_done, d, NULL, e);
        if (streq(verb, "create") && body)
                return kube_create(d->kube, path, body, on_done, d, NULL, e);
        if (streq(verb, "patch") && body)
                return kube_patch(d->kube, path, body, on_done, d, NULL, e);
        return -EINVAL;
}

static void obey(struct driver *d, char *words)
{
        _cleanup_err_ struct err e = {0};
        const char *verb = strsep(&words, " ");
        int r = -EINVAL;

        if (words && streq(verb, "watch")) {
                const char *namespace = strsep(&words, " ");
                r = words ? watch(d, namespace, words) : -EINVAL;
        } else if (words && streq(verb, "event")) {
                r = say_event(d, words);
        } else if (words) {
                r = request(d, verb, words, &e);
        }
        if (r < 0 && !e.code)
                err_set(&e, r, "%s", strerror(-r));
        if (r < 0)
                on_done(d, NULL, 0, &e);
}

static void on_input(void *userdata, int fd, uint32_t revents)
{
        struct driver *d = userdata;
        char *end;

        ssize_t n = read(fd, d->line + d->len, sizeof d->line - d->len);
        if (n <= 0) {
                loop_exit(d->loop, 0);
                return;
        }
        d->len += (size_t)n;
        while ((end = memchr(d->line, '\n', d->len))) {
                *end = '\0';
                obey(d, d->line);
                d->len -= (size_t)(end + 1 - d->line);
                memmove(d->line, end + 1, d->len);
        }
}

static int run(struct driver *d, char *argv[])
{
        const struct kube_config config = {
                .server = argv[1], .token_file = argv[2], .ca_file = argv[3], .second = SECOND};
        struct loop_io *input = NULL;

        int r = loop_new(&d->loop);
        if (r == 0)
                r = http_client_new(d->loop, &d->http);
        if (r == 0)
                r = kube_new(d->http, &config, &d->kube);
        if (r == 0)
                r = kube_events_new(d->kube, d->loop, "secrets.akvfs.io", "node-1", &d->events);
        if (r == 0)
                r = loop_io_new(d->loop, 0, EPOLLIN, on_input, d, &input);
        if (r == 0)
                r = loop_run(d->loop);
        loop_io_free(input);
        while (d->n_watches > 0) {
                kube_watch_free(d->watches[--d->n_watches].watch);
                free(d->watches[d->n_watches].name);
        }
        kube_events_free(d->events);
        http_client_free(d->http);
        kube_free(d->kube);
        loop_free(d->loop);
        return r;
}

int main(int argc, char *argv[])
{
        static struct driver d;

        if (argc != 4 || wipe_install() < 0) {
                fprintf(stderr, "usage: kube-client SERVER TOKEN_FILE CA_FILE\n");
                return 2;
        }
        log_set_level(LOG_DEBUG);
        return run(&d, argv) < 0 ? 1 : 0;
}
