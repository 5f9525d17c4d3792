#include "csi/kube_watch.h"

#include "base/log.h"
#include "csi/kube_private.h"
#include "csi/kube_watch_line.h"

struct kube_watch {
        struct kube *kube;
        struct loop *loop;
        char *collection, *name, *selector; /* the last: escaped, for a query */
        struct kube_watch_events events;
        void *userdata;

        struct http_call *call;     /* a list or a stream is under way */
        struct loop_timer *pause;   /* until the next of them */
        struct loop_timer *arrived; /* lines wait to be taken */
        struct kube_lines lines;
        size_t bytes;    /* of this stream */
        char *version;   /* to watch from; NULL: list first */
        char *told;      /* the version told last, "" for none; NULL: nothing was told */
        unsigned failed; /* in a row */
        bool troubled;

        unsigned busy; /* frames of ours on the stack that use the watch after a callback */
        bool freed;
};

/* --- telling --- */

static void release(struct kube_watch *w)
{
        if (--w->busy == 0 && w->freed)
                free(w);
}

/* Once all up to there is told, so that nothing is lost when memory is short. */
static int go_on_from(struct kube_watch *w, const char *version)
{
        return w->freed ? 0 : replace_string(&w->version, version);
}

/* Each caller is busy: the watch may be freed in there, and stays to be looked at. */
static int tell(struct kube_watch *w, const cJSON *object)
{
        const char *version = object ? kube_version(object) : "";

        if (streq_ptr(w->told, version))
                return 0;
        int r = replace_string(&w->told, version);
        if (r == 0)
                w->events.changed(w->userdata, object);
        return r;
}

static void tell_trouble(struct kube_watch *w, const struct err *error)
{
        if (w->troubled == (error != NULL))
                return;
        w->troubled = error != NULL;
        if (w->events.trouble)
                w->events.trouble(w->userdata, error);
}

/* --- when --- */

/* The n-th failure in a row is followed by half to all of 2^n seconds; asked is Retry-After. */
static void go_on_later(struct kube_watch *w, unsigned asked)
{
        usec_t most = USEC_PER_SEC << MIN(w->failed, 10U);
        uint32_t random = 0;

        if (w->freed)
                return;
        most = MIN(most, KUBE_WATCH_PAUSE_MAX);
        (void)random_bytes(&random, sizeof random); /* without it: the shortest pause */
        usec_t pause = kube_pause(w->kube, most / 2 + most / 2 * random / UINT32_MAX);
        (void)loop_timer_in(w->pause, MAX(pause, asked * USEC_PER_SEC));
}

static void fail(struct kube_watch *w, unsigned asked, const struct err *error)
{
        log_debug("watch of %s/%s: %s", w->collection, w->name, err_text(error));
        w->failed++;
        tell_trouble(w, error);
        go_on_later(w, asked);
}

/* --- the list --- */

static const cJSON *find(const struct kube_watch *w, const cJSON *list)
{
        const cJSON *item;

        cJSON_ArrayForEach (item, json_get(list, "items")) {
                if (streq_ptr(json_string(json_get(item, "metadata"), "name"), w->name) &&
                        kube_version(item))
                        return item;
        }
        return NULL;
}

static void on_list(void *userdata, struct http_response *resp)
{
        struct kube_watch *w = userdata;
        _cleanup_err_ struct err e = {0};
        _cleanup_json_ cJSON *list = NULL;

        w->call = NULL;
        w->busy++;
        unsigned asked = http_retry_after(resp, loop_wall(w->loop));
        kube_answer(w->kube, resp, &list, &e);
        const char *version = kube_version(list);
        if (!e.code && (!version || !cJSON_IsArray(json_get(list, "items"))))
                err_set_cause(&e, ERR_SERVICE, -EPROTO, "the API server answered what is no list");
        if (!e.code && (tell(w, find(w, list)) < 0 || go_on_from(w, version) < 0))
                err_set(&e, -ENOMEM, "out of memory");
        if (e.code)
                fail(w, asked, &e);
        else if (!w->freed) /* that it can be listed does not end a trouble with watching it */
                (void)loop_timer_in(w->pause, 0);
        release(w);
}

/* --- the stream --- */

static int on_data(void *userdata, const char *data, size_t len)
{
        struct kube_watch *w = userdata;

        w->bytes += len;
        if (w->bytes > KUBE_WATCH_BYTES_MAX)
                return -EFBIG;
        int r = kube_lines_add(&w->lines, data, len);
        if (r == 0) /* libcurl is on the stack: whoever is told may want to end this stream */
                r = loop_timer_in(w->arrived, 0);
        return r;
}

/* One line. Negative: the stream is of no use any more, and e says why. */
static int take_line(struct kube_watch *w, const char *line, size_t len, struct err *e)
{
        _cleanup_kube_watch_line_ struct kube_watch_line l = {0};

        int r = kube_watch_line_parse(line, len, &l);
        if (r < 0)
                return err_set_cause(
                        e, ERR_SERVICE, r, "the API server sent what is no line of a watch");
        if (l.type == KUBE_WATCH_EXPIRED) {
                w->version = (free(w->version), NULL);
                return err_set_cause(e, ERR_SERVICE, -ESTALE, "the version is too old");
        }
        if (l.type == KUBE_WATCH_ERROR) {
                const char *message = json_string(l.object, "message");
                return err_set_cause(e, ERR_SERVICE, -EPROTO, "%.2000s",
                        message ? message : "the API server ends the watch without a reason");
        }
        w->failed = 0;
        tell_trouble(w, NULL);
        if (w->freed)
                return 0;
        if (l.type != KUBE_WATCH_BOOKMARK && streq(l.name, w->name))
                r = tell(w, l.type == KUBE_WATCH_CHANGED ? l.object : NULL);
        if (r == 0)
                r = go_on_from(w, l.version);
        return r < 0 ? err_set(e, r, "out of memory") : 0;
}

static int take_lines(struct kube_watch *w, struct err *e)
{
        const char *line;
        size_t len;
        int r = 0;

        while (r == 0 && !w->freed && kube_lines_next(&w->lines, &line, &len))
                r = take_line(w, line, len, e);
        return r;
}

enum end {
        END_PROPER,  /* after its time */
        END_EARLY,   /* no trouble yet: the next list or stream goes on */
        END_TROUBLE, /* error says which */
};

static void go_on(struct kube_watch *w, enum end end, unsigned asked, const struct err *error)
{
        kube_lines_done(&w->lines);
        if (end == END_TROUBLE) {
                fail(w, asked, error);
                return;
        }
        w->failed = end == END_PROPER ? 0 : w->failed + 1;
        if (end == END_PROPER)
                tell_trouble(w, NULL);
        go_on_later(w, asked);
}

static void on_arrived(void *userdata)
{
        struct kube_watch *w = userdata;
        _cleanup_err_ struct err e = {0};

        w->busy++;
        int r = take_lines(w, &e);
        if (r < 0 && !w->freed) {
                w->call = http_cancel(w->call);
                go_on(w, r == -ESTALE ? END_EARLY : END_TROUBLE, 0, &e);
        }
        release(w);
}

static enum end end_of(struct kube_watch *w, struct http_response *resp, struct err *e)
{
        if (resp->status == 410) {
                w->version = (free(w->version), NULL);
                return END_EARLY;
        }
        bool too_much = w->bytes > KUBE_WATCH_BYTES_MAX;
        bool line_too_long = resp->error.code == -EFBIG && !too_much;
        kube_explain(w->kube, resp, e);
        if (resp->status == 0 && resp->cut && !line_too_long)
                return END_EARLY; /* cut, as when an API server restarts */
        if (e->code)
                return END_TROUBLE;
        /* A server that ends each stream at once must not be asked all the time. */
        return w->bytes == 0 && resp->took < KUBE_WATCH_SECONDS * USEC_PER_SEC / 10 ? END_EARLY
                                                                                    : END_PROPER;
}

static void on_end(void *userdata, struct http_response *resp)
{
        struct kube_watch *w = userdata;
        _cleanup_err_ struct err e = {0};

        w->call = NULL;
        w->busy++;
        loop_timer_off(w->arrived);
        unsigned asked = http_retry_after(resp, loop_wall(w->loop));
        int r = take_lines(w, &e);
        if (!w->freed) {
                enum end end = r == -ESTALE ? END_EARLY : END_TROUBLE;
                if (r == 0)
                        end = end_of(w, resp, &e);
                go_on(w, end, asked, &e);
        }
        release(w);
}

/* --- either --- */

static int start(struct kube_watch *w, struct err *e)
{
        _cleanup_free_ char *path = NULL, *version = NULL;
        struct kube_send what = {.method = "GET", .once = true};
        int r;

        if (!w->version) {
                r = xasprintf(
                        &path, "%s?fieldSelector=metadata.name%%3D%s", w->collection, w->selector);
                if (r < 0)
                        return err_set(e, r, "out of memory");
                what.path = path;
                return kube_send(w->kube, &what, on_list, w, &w->call, e);
        }
        r = http_escape(w->version, &version);
        if (r == 0)
                r = xasprintf(&path,
                        "%s?fieldSelector=metadata.name%%3D%s&watch=true&allowWatchBookmarks=true"
                        "&resourceVersion=%s&timeoutSeconds=%d",
                        w->collection, w->selector, version, KUBE_WATCH_SECONDS);
        if (r < 0)
                return err_set(e, r, "out of memory");
        what.path = path;
        what.on_data = on_data;
        what.total_ms = KUBE_WATCH_SECONDS * 1000 + HTTP_TOTAL_TIMEOUT_MS;
        w->bytes = 0;
        return kube_send(w->kube, &what, on_end, w, &w->call, e);
}

static void on_pause_over(void *userdata)
{
        struct kube_watch *w = userdata;
        _cleanup_err_ struct err e = {0};

        w->busy++;
        if (start(w, &e) < 0)
                fail(w, 0, &e);
        release(w);
}

int kube_watch_new(struct kube *k, struct loop *l, const char *collection, const char *name,
        const struct kube_watch_events *events, void *userdata, struct kube_watch **ret)
{
        _cleanup_(kube_watch_freep) struct kube_watch *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        *w = (struct kube_watch){.kube = k, .loop = l, .events = *events, .userdata = userdata};
        w->collection = strdup(collection);
        w->name = strdup(name);
        if (!w->collection || !w->name)
                return -ENOMEM;
        int r = http_escape(name, &w->selector);
        if (r == 0)
                r = loop_timer_new(l, on_pause_over, w, &w->pause);
        if (r == 0)
                r = loop_timer_new(l, on_arrived, w, &w->arrived);
        if (r == 0)
                r = loop_timer_in(w->pause, 0);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

void kube_watch_free(struct kube_watch *w)
{
        if (!w)
                return;
        w->call = http_cancel(w->call);
        w->pause = loop_timer_free(w->pause);
        w->arrived = loop_timer_free(w->arrived);
        kube_lines_done(&w->lines);
        free(w->collection);
        free(w->name);
        free(w->selector);
        free(w->version);
        free(w->told);
        if (w->busy > 0)
                w->freed = true; /* release() */
        else
                free(w);
}
