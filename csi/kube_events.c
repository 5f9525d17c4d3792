#include "csi/kube_events.h"

#include <stdio.h>
#include <sys/queue.h>
#include <time.h>

#include "base/log.h"
#include "csi/kube_private.h"

#define NAME_MAX_LENGTH 253 /* of an object */

struct remembered {
        TAILQ_ENTRY(remembered) entry;
        struct kube_events *events;
        char *namespace, *pod, *uid, *reason, *message;
        char *name; /* of the object */
        bool warning, created;
        uint64_t count, told;
        int64_t first, last; /* seconds since the epoch */
        uint64_t telling;    /* the count that is under way */
        struct kube_call *call;
        struct loop_timer *pause; /* until it may be told again */
};

TAILQ_HEAD(all_remembered, remembered);

struct kube_events {
        struct kube *kube;
        struct loop *loop;
        char *component, *node;
        struct all_remembered all; /* the one said longest ago is first */
        unsigned n;
        bool refused;
};

static void forget(struct remembered *m)
{
        TAILQ_REMOVE(&m->events->all, m, entry);
        m->events->n--;
        kube_cancel(m->call);
        loop_timer_free(m->pause);
        free(m->namespace);
        free(m->pod);
        free(m->uid);
        free(m->reason);
        free(m->message);
        free(m->name);
        free(m);
}

/* --- the object --- */

struct timestamp {
        char text[32];
};

static struct timestamp rfc3339(int64_t seconds)
{
        struct timestamp t = {"1970-01-01T00:00:00Z"};
        time_t when = (time_t)seconds;
        struct tm tm;

        if (gmtime_r(&when, &tm))
                strftime(t.text, sizeof t.text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        return t;
}

static bool add_all(cJSON *object, const char *const (*members)[2], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!cJSON_AddStringToObject(object, members[i][0], members[i][1]))
                        return false;
        return true;
}

static bool fill(cJSON *object, const struct remembered *m)
{
        struct timestamp first = rfc3339(m->first);
        const char *const plain[][2] = {
                {"apiVersion", "v1"},
                {"kind", "Event"},
                {"reason", m->reason},
                {"message", m->message},
                {"type", m->warning ? "Warning" : "Normal"},
                {"firstTimestamp", first.text},
                {"reportingComponent", m->events->component},
                {"reportingInstance", m->events->node},
        };
        const char *const metadata[][2] = {{"name", m->name}, {"namespace", m->namespace}};
        const char *const pod[][2] = {{"apiVersion", "v1"}, {"kind", "Pod"}, {"name", m->pod},
                {"namespace", m->namespace}, {"uid", m->uid}};
        const char *const source[][2] = {
                {"component", m->events->component}, {"host", m->events->node}};

        return add_all(object, plain, ELEMENTSOF(plain)) &&
               add_all(cJSON_AddObjectToObject(object, "metadata"), metadata,
                       ELEMENTSOF(metadata)) &&
               add_all(cJSON_AddObjectToObject(object, "involvedObject"), pod, ELEMENTSOF(pod)) &&
               add_all(cJSON_AddObjectToObject(object, "source"), source, ELEMENTSOF(source));
}

/* The whole when it is to be made, what changed when it is there. */
static cJSON *object_of(const struct remembered *m)
{
        _cleanup_json_ cJSON *object = cJSON_CreateObject();
        struct timestamp last = rfc3339(m->last);

        if (!object || (!m->created && !fill(object, m)) ||
                !cJSON_AddNumberToObject(object, "count", (double)m->count) ||
                !cJSON_AddStringToObject(object, "lastTimestamp", last.text))
                return NULL;
        return TAKE_PTR(object);
}

static int path_of(const struct remembered *m, char **ret)
{
        _cleanup_free_ char *namespace = NULL, *name = NULL;

        int r = http_escape(m->namespace, &namespace);
        if (r == 0)
                r = http_escape(m->name, &name);
        if (r == 0)
                r = xasprintf(ret, "/api/v1/namespaces/%s/events%s%s", namespace,
                        m->created ? "/" : "", m->created ? name : "");
        return r;
}

/* --- telling --- */

static void say_refused(struct kube_events *ev, const struct remembered *m, const struct err *error)
{
        if (!ev->refused)
                log_warning("event %s on pod %s/%s cannot be told: %s" ERR_HINT_FMT, m->reason,
                        m->namespace, m->pod, err_text(error), ERR_HINT_ARGS(error));
        ev->refused = true;
}

static void on_told(void *userdata, const cJSON *answer, int status, const struct err *error);

static void push(struct remembered *m)
{
        _cleanup_json_ cJSON *object = object_of(m);
        _cleanup_free_ char *path = NULL;
        _cleanup_err_ struct err e = {0};

        int r = object ? path_of(m, &path) : -ENOMEM;
        if (r < 0)
                err_set(&e, r, "out of memory");
        else if (m->created)
                r = kube_patch(m->events->kube, path, object, on_told, m, &m->call, &e);
        else
                r = kube_create(m->events->kube, path, object, on_told, m, &m->call, &e);
        if (r < 0)
                say_refused(m->events, m, &e);
        else
                m->telling = m->count;
}

static void on_told(void *userdata, const cJSON *answer, int status, const struct err *error)
{
        struct remembered *m = userdata;
        struct kube_events *ev = m->events;

        m->call = NULL;
        /* The name is ours alone: a first try whose answer got lost has made it. */
        bool there = !error || (status == 409 && !m->created);
        if (there) {
                ev->refused = false;
                m->created = true;
                m->told = m->telling;
        } else if (status == 404 && m->created) {
                m->created = false; /* after an hour events go; the next makes a new one */
                push(m);
                return;
        } else {
                say_refused(ev, m, error);
        }
        (void)loop_timer_in(m->pause, kube_pause(ev->kube, KUBE_EVENT_PAUSE));
}

static void on_pause_over(void *userdata)
{
        struct remembered *m = userdata;

        if (m->count > m->told && !m->call)
                push(m);
}

/* --- saying --- */

/* At most max bytes of it, and no half of a character. */
static char *cut(const char *s, size_t max)
{
        size_t n = strnlen(s, max + 1);

        if (n > max)
                for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
                        ;
        return strndup(s, n);
}

/* The pod's name, cut where it has to be so that the end is a letter or a digit, and random hex. */
static char *name_of(const char *pod)
{
        uint8_t random[8];
        char hex[2 * sizeof random + 1], *name = NULL;
        size_t n = strnlen(pod, NAME_MAX_LENGTH - sizeof hex);

        if (random_bytes(random, sizeof random) < 0)
                return NULL;
        hex_encode(random, sizeof random, hex);
        while (n > 0 && (pod[n - 1] == '.' || pod[n - 1] == '-'))
                n--;
        return xasprintf(&name, "%.*s.%s", (int)n, pod, hex) < 0 ? NULL : name;
}

static bool is_same(const struct remembered *m, const struct kube_event *event)
{
        size_t n = strlen(m->message);

        return m->warning == event->warning && streq(m->uid, event->uid) &&
               strncmp(m->reason, event->reason, KUBE_EVENT_REASON_MAX) == 0 &&
               strncmp(m->message, event->message, n) == 0 &&
               (event->message[n] == '\0' || n + 4 > KUBE_EVENT_MESSAGE_MAX);
}

static bool make_room(struct kube_events *ev)
{
        struct remembered *m;

        if (ev->n < KUBE_EVENTS_MAX)
                return true;
        TAILQ_FOREACH (m, &ev->all, entry) {
                if (!m->call) {
                        forget(m);
                        return true;
                }
        }
        return false;
}

static struct remembered *remember(struct kube_events *ev, const struct kube_event *event)
{
        struct remembered *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        m->events = ev;
        TAILQ_INSERT_TAIL(&ev->all, m, entry);
        ev->n++;
        m->namespace = strdup(event->namespace);
        m->pod = strdup(event->pod);
        m->uid = strdup(event->uid);
        m->reason = cut(event->reason, KUBE_EVENT_REASON_MAX);
        m->message = cut(event->message, KUBE_EVENT_MESSAGE_MAX);
        m->name = name_of(event->pod);
        m->warning = event->warning;
        m->first = loop_wall(ev->loop);
        if (!m->namespace || !m->pod || !m->uid || !m->reason || !m->message || !m->name ||
                loop_timer_new(ev->loop, on_pause_over, m, &m->pause) < 0) {
                forget(m);
                return NULL;
        }
        return m;
}

void kube_events_say(struct kube_events *ev, const struct kube_event *event)
{
        struct remembered *m;

        TAILQ_FOREACH (m, &ev->all, entry) {
                if (is_same(m, event))
                        break;
        }
        if (m) {
                TAILQ_REMOVE(&ev->all, m, entry);
                TAILQ_INSERT_TAIL(&ev->all, m, entry);
        } else if (!make_room(ev) || !(m = remember(ev, event))) {
                log_warning("event %s on pod %s/%s is dropped: too many are under way",
                        event->reason, event->namespace, event->pod);
                return;
        }
        m->count++;
        m->last = loop_wall(ev->loop);
        if (!m->call && loop_timer_when(m->pause) == USEC_INFINITY)
                push(m);
}

int kube_events_new(struct kube *k, struct loop *l, const char *component, const char *node,
        struct kube_events **ret)
{
        _cleanup_(kube_events_freep) struct kube_events *ev = calloc(1, sizeof *ev);

        if (!ev)
                return -ENOMEM;
        ev->kube = k;
        ev->loop = l;
        TAILQ_INIT(&ev->all);
        ev->component = strdup(component);
        ev->node = strdup(node);
        if (!ev->component || !ev->node)
                return -ENOMEM;
        *ret = TAKE_PTR(ev);
        return 0;
}

void kube_events_free(struct kube_events *ev)
{
        if (!ev)
                return;
        while (!TAILQ_EMPTY(&ev->all))
                forget(TAILQ_FIRST(&ev->all));
        free(ev->component);
        free(ev->node);
        free(ev);
}
