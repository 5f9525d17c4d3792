#include "csi/pod_class.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/log.h"
#include "csi/service_tokens.h"
#include "pod.h"

#define S(text) ((char *)(uintptr_t)(text))

static struct publish_request pod;
static struct pod_class_config cfg;
static struct mount_request q;
static struct err e;

static void set_up(void)
{
        unsetenv("AZURE_AUTHORITY_HOST");
        pod = pod_request(SERVICE_TOKEN_EXCHANGE);
        cfg = (struct pod_class_config){
                .poll_interval = 5 * USEC_PER_SEC, .ca_pem = "pem", .secret_memory_required = true};
}

static void tear_down(void)
{
        pod_done(&pod);
        mount_request_done(&q);
        err_done(&e);
}

TestSuite(pod_class, .init = set_up, .fini = tear_down);

static const char parameters[] =
        "\"keyvaultName\":\"kv-web\",\"tenantID\":\"t\",\"clientID\":\"app\","
        "\"objects\":\"array:\\n  - |\\n    objectName: pw\\n    objectType: secret\\n\"";

static int request(const char *spec)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ cJSON *j = NULL;

        mount_request_done(&q);
        err_done(&e);
        cr_assert_eq(xasprintf(&text, "{\"spec\":{%s}}", spec), 0);
        cr_assert_eq(json_parse(text, strlen(text), &j), 0, "%s", text);
        return pod_class_request(&cfg, &pod, j, &q, &e);
}

static int azure(const char *more)
{
        _cleanup_free_ char *spec = NULL;

        cr_assert_eq(xasprintf(&spec, "\"provider\":\"azure\",\"parameters\":{%s}", more), 0);
        return request(spec);
}

static void refused(int r, const char *text)
{
        cr_assert_lt(r, 0, "expected: %s", text);
        cr_assert_eq(pod_class_code(&e), RPC_INVALID_ARGUMENT, "%s", err_text(&e));
        cr_assert_not_null(strstr(err_text(&e), text), "%s", err_text(&e));
}

Test(pod_class, a_class_and_its_volume)
{
        _cleanup_pod_volume_ struct pod_volume v = {0};

        cr_assert_eq(azure(parameters), 0, "%s", err_text(&e));
        cr_assert_str_eq(q.mountpoint, pod.target_path);
        cr_assert_str_eq(q.class->name, "app");
        cr_assert_str_eq(q.class->namespace, "shop");
        cr_assert_str_eq(q.identity.vault_url, "https://kv-web.vault.azure.net");
        cr_assert_str_eq(q.identity.subject, "shop/web");
        cr_assert_str_eq(q.identity.ca_pem, "pem");
        cr_assert_eq(q.poll_interval, cfg.poll_interval);
        cr_assert(q.secret_memory_required);
        cr_assert(q.allow_other);
        cr_assert_eq(q.mode, 0644);
        cr_assert_eq(q.gid, 0);

        cr_assert_eq(pod_volume_parse(q.note, &v), 0);
        cr_assert_str_eq(v.volume_id, "csi-00ff");
        cr_assert_str_eq(v.pod_name, "web-0");
        cr_assert_str_eq(v.pod_namespace, "shop");
        cr_assert_str_eq(v.pod_uid, "1");
        cr_assert_str_eq(v.service_account, "web");
        cr_assert_str_eq(v.class_name, "app");
        cr_assert_str_eq(v.class_uid, "", "the API server said nothing of it");
        cr_assert_not(v.binding);
        cr_assert_str_eq(v.selinux_context, "");
        cr_assert_null(q.selinux_context);
        cr_assert_null(strstr(q.note, "e30."), "no token in it: %s", q.note);
}

Test(pod_class, a_group_reads_and_nobody_else)
{
        pod.mount_group = 2000;
        cr_assert_eq(azure(parameters), 0, "%s", err_text(&e));
        cr_assert_eq(q.gid, 2000);
        cr_assert_eq(q.mode, 0440);
}

Test(pod_class, a_selinux_label_is_remembered)
{
        _cleanup_pod_volume_ struct pod_volume v = {0}, older = {0};

        pod.selinux_context = S("u:object_r:t:s0:c1,c2");
        cr_assert_eq(azure(parameters), 0, "%s", err_text(&e));
        cr_assert_str_eq(q.selinux_context, "u:object_r:t:s0:c1,c2");
        cr_assert_eq(pod_volume_parse(q.note, &v), 0);
        cr_assert_str_eq(v.selinux_context, "u:object_r:t:s0:c1,c2");

        cr_assert_eq(pod_volume_parse("{\"volume_id\":\"a\",\"pod\":\"b\",\"namespace\":\"c\","
                                      "\"uid\":\"d\",\"service_account\":\"e\","
                                      "\"class\":\"f\",\"binding\":true}",
                             &older),
                0, "of a worker that knew of no labels");
        cr_assert_str_eq(older.selinux_context, "");
        cr_assert(older.binding);
}

Test(pod_class, attributes_win)
{
        struct publish_entry attributes[] = {{S("keyvaultName"), S("kv-mine")},
                {S("usePodIdentity"), S("true")}, {S("whatever"), S("x")}};

        pod.attributes = attributes;
        pod.n_attributes = ELEMENTSOF(attributes);
        cr_assert_eq(azure(parameters), 0, "%s", err_text(&e));
        cr_assert_str_eq(q.identity.vault_url, "https://kv-mine.vault.azure.net");
        cr_assert_eq(q.identity.mode, AUTH_POD_IDENTITY);
        attributes[0].value = S("x");
        refused(azure(parameters), "keyvaultName");
}

Test(pod_class, warnings_are_few_however_many_there_are)
{
        _cleanup_free_ char *objects = strdup("\"keyvaultName\":\"kv-web\",\"tenantID\":\"t\","
                                              "\"clientID\":\"app\",\"objects\":\"array:\\n");
        char path[64], *log = NULL;
        size_t lines = 0, len = 0;

        for (int i = 0; i < 50; i++) {
                _cleanup_free_ char *so_far = objects;

                cr_assert_eq(xasprintf(&objects,
                                     "%s  - |\\n    objectName: pw%d\\n    objectType: secret\\n"
                                     "    colour: red\\n",
                                     so_far, i),
                        0);
        }
        _cleanup_free_ char *so_far = objects;
        cr_assert_eq(xasprintf(&objects, "%s\"", so_far), 0);

        _cleanup_close_ int fd = memfd_create("log", MFD_CLOEXEC);
        cr_assert_geq(fd, 0);
        log_set_fd(fd);
        int r = azure(objects);
        log_set_fd(2);
        cr_assert_eq(r, 0, "%s", err_text(&e));
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        cr_assert_eq(read_whole_file(path, 1 << 20, &log, &len), 0);
        for (const char *s = log; (s = strchr(s, '\n')); s++)
                lines++;
        cr_expect_eq(lines, 6, "%s", log);
        cr_expect_not_null(strstr(log, "and 45 more"), "%s", log);
        free(log);
}

Test(pod_class, upstream_s_words_for_what_is_wrong)
{
        static const char wrapped[] = "failed to mount secrets store objects for pod shop/web-0, "
                                      "err: failed to mount objects, error: ";

        refused(request("\"parameters\":{\"a\":\"b\"}"), "provider not set in shop/app");
        refused(request("\"provider\":\"aws\",\"parameters\":{\"a\":\"b\"}"),
                "error connecting to provider \"aws\": provider not found: provider \"aws\"");
        refused(request("\"provider\":\"azure\""), "parameters not set in shop/app");
        refused(request("\"provider\":\"azure\",\"parameters\":{}"),
                "parameters not set in shop/app");
        refused(request("\"provider\":\"azure\",\"parameters\":[1]"),
                "parameters not set in shop/app");
        refused(azure("\"keyvaultName\":7"), "is no string");
        refused(azure("\"keyvaultName\":\"kv-web\""), wrapped);
        cr_assert_not_null(strstr(e.hint, "shop/app"));
        refused(azure("\"keyvaultName\":\"kv-web\",\"tenantID\":\"t\",\"clientID\":\"app\","
                      "\"objects\":\"array: []\""),
                wrapped);
}

Test(pod_class, codes_say_who_has_to_act)
{
        static const struct {
                enum err_cause cause;
                int code;
                enum rpc_code expected;
        } table[] = {
                {ERR_USAGE, -EINVAL, RPC_INVALID_ARGUMENT},
                {ERR_NOT_FOUND, -ENOENT, RPC_NOT_FOUND},
                {ERR_FORBIDDEN, -EACCES, RPC_PERMISSION_DENIED},
                {ERR_AUTH, -EACCES, RPC_FAILED_PRECONDITION},
                {ERR_DISABLED, -EACCES, RPC_FAILED_PRECONDITION},
                {ERR_THROTTLED, -EAGAIN, RPC_RESOURCE_EXHAUSTED},
                {ERR_DNS, -EIO, RPC_UNAVAILABLE},
                {ERR_CONNECT, -EIO, RPC_UNAVAILABLE},
                {ERR_SERVICE, -EIO, RPC_UNAVAILABLE},
                {ERR_TIMEOUT, -ETIMEDOUT, RPC_DEADLINE_EXCEEDED},
                {ERR_LOCAL, -EIO, RPC_INTERNAL},
                {ERR_LOCAL, -EBUSY, RPC_ABORTED},
                {ERR_LOCAL, -EMFILE, RPC_RESOURCE_EXHAUSTED},
                {ERR_LOCAL, -ENOSPC, RPC_RESOURCE_EXHAUSTED},
                {ERR_OTHER, -ENOMEM, RPC_RESOURCE_EXHAUSTED},
        };

        for (size_t k = 0; k < ELEMENTSOF(table); k++) {
                struct err it = {.cause = table[k].cause, .code = table[k].code};
                cr_expect_eq(pod_class_code(&it), table[k].expected, "%zu", k);
        }
}

Test(pod_class, a_note_tells_from_which_class_it_was_mounted)
{
        static const char object[] =
                "{\"metadata\":{\"uid\":\"u-1\",\"generation\":7},\"spec\":{\"provider\":\"azure\","
                "\"parameters\":{\"keyvaultName\":\"kv-web\",\"tenantID\":\"t\",\"clientID\":\"app\","
                "\"objects\":\"array:\\n  - |\\n    objectName: pw\\n    objectType: secret\\n\"}}}";
        _cleanup_pod_volume_ struct pod_volume v = {0}, old = {0};
        _cleanup_json_ cJSON *j = NULL;

        cr_assert_eq(json_parse(object, strlen(object), &j), 0);
        cr_assert_eq(pod_class_request(&cfg, &pod, j, &q, &e), 0, "%s", err_text(&e));
        cr_assert_eq(pod_volume_parse(q.note, &v), 0);
        cr_expect_str_eq(v.class_uid, "u-1");
        cr_expect_eq(v.class_generation, 7);

        /* of a driver that did not look */
        _cleanup_json_ cJSON *note = NULL;
        cr_assert_eq(json_parse(q.note, strlen(q.note), &note), 0);
        cJSON_DeleteItemFromObject(note, "class_uid");
        cJSON_DeleteItemFromObject(note, "class_generation");
        _cleanup_free_ char *text = cJSON_PrintUnformatted(note);
        cr_assert_eq(pod_volume_parse(text, &old), 0);
        cr_expect_str_eq(old.class_uid, "");
        cr_expect_eq(old.class_generation, 0);
}

Test(pod_class, a_note_that_is_none_is_refused)
{
        static const char *const bad[] = {"", "{", "[]", "{}", "{\"volume_id\":\"a\"}"};
        struct pod_volume v = {0};

        for (size_t k = 0; k < ELEMENTSOF(bad); k++)
                cr_expect_eq(pod_volume_parse(bad[k], &v), -EBADMSG, "%s", bad[k]);
}

Test(pod_class, errors_of_several_objects_are_one)
{
        struct err errors[3] = {0};
        _cleanup_err_ struct err all = {0}, common = {0};

        err_set_cause(&errors[0], ERR_NOT_FOUND, -ENOENT, "no a");
        err_hint(&errors[0], "make it");
        err_set_cause(&errors[1], ERR_NOT_FOUND, -ENOENT, "no b");
        err_set_cause(&errors[2], ERR_NOT_FOUND, -ENOENT, "no c");
        cr_assert_eq(pod_class_failures("shop", "web-0", errors, 3, 8, &all), -ENOENT);
        cr_assert_not_null(strstr(err_text(&all), "shop/web-0"));
        cr_assert_not_null(strstr(err_text(&all), "no a; no b"), "%s", err_text(&all));
        cr_assert_null(strstr(err_text(&all), "no c"), "that would be too long");
        cr_assert_str_eq(all.hint, "make it");
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                err_done(&errors[i]);

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                err_set_cause(&errors[i], ERR_DNS, -EIO, "no vault %zu", i);
        cr_assert_eq(pod_class_failures("shop", "web-0", errors, 3, 4096, &common), -EIO);
        cr_assert_not_null(strstr(err_text(&common), "no vault 0"));
        cr_assert_null(strstr(err_text(&common), "no vault 1"), "all have it in common");
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                err_done(&errors[i]);
}
