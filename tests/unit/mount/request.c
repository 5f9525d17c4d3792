#include <criterion/criterion.h>

#include "base/jsonpath.h"
#include "mount/request.h"

static const char class_text[] = "apiVersion: secrets-store.csi.x-k8s.io/v1\n"
                                 "kind: SecretProviderClass\n"
                                 "metadata: {name: web, namespace: prod}\n"
                                 "spec:\n"
                                 "  provider: azure\n"
                                 "  parameters:\n"
                                 "    keyvaultName: kv-web\n"
                                 "    tenantId: t\n"
                                 "    objectSelector: 'array: [\"{objectType: key, glob: a*, tag: "
                                 "x=y, max: 9, objectAlias: k/*}\"]'\n"
                                 "    objects: |\n"
                                 "      array:\n"
                                 "        - |\n"
                                 "          objectName: pw\n"
                                 "          objectType: secret\n"
                                 "          objectAlias: db/password\n"
                                 "          objectVersion: abc\n"
                                 "          objectEncoding: hex\n"
                                 "          filePermission: '0440'\n"
                                 "        - |\n"
                                 "          objectName: cert\n"
                                 "          optional: true\n"
                                 "          keyvaultName: kv-other\n"
                                 "          objectType: cert\n"
                                 "        - |\n"
                                 "          objectName: tls\n"
                                 "          objectType: secret\n"
                                 "          certificateFiles: folder\n"
                                 "        - |\n"
                                 "          objectName: db--json\n"
                                 "          objectType: secret\n"
                                 "          namePreset: folders\n"
                                 "          jsonPath: $.password\n";

static struct mount_request in, out;
static struct err e;

static void set_up(void)
{
        struct spc_diags diags = {0};

        cr_assert_eq(spc_parse(class_text, sizeof class_text - 1, NULL, &in.class, &diags), 0);
        spc_diags_done(&diags);
        in.mountpoint = strdup("/mnt/s");
        in.identity = (struct identity){
                .mode = AUTH_CLIENT_SECRET,
                .tenant = strdup("t"),
                .client_id = strdup("c"),
                .authority = strdup("https://a/"),
                .vault_url = strdup("https://v"),
                .scope = strdup("https://s/.default"),
        };
        cr_assert_eq(sec_new("\0\xff\n", 3, &in.identity.secret), 0);
        in.vaults.list = calloc(1, sizeof *in.vaults.list);
        in.vaults.list[0] = (struct vault_url){strdup("kv-other"), strdup("https://o")};
        in.vaults.n = 1;
        in.policy = (struct view_policy){.remove_disabled = true, .remove_forbidden = true};
        in.poll_interval = 1500 * USEC_PER_MSEC;
        in.uid = 4294967294;
        in.gid = 12;
        in.mode = 0440;
        in.allow_other = true;
        in.audit = true;
        in.shape.keep_chain_order = true;
        in.secret_memory_required = true;
        in.note = strdup("of \"mine\"");
        in.selinux_context = strdup("a:b:c:s0:c1,c2");
}

static void tear_down(void)
{
        mount_request_done(&in);
        mount_request_done(&out);
        err_done(&e);
}

TestSuite(request, .init = set_up, .fini = tear_down);

Test(request, travels_whole)
{
        _cleanup_json_ cJSON *j = mount_request_format(&in);

        cr_assert_str_eq(json_string(j, "type"), "mount");
        cr_assert_eq(mount_request_parse(j, &out, &e), 0, "%s", err_text(&e));
        cr_assert_str_eq(out.mountpoint, "/mnt/s");
        cr_assert_eq(out.poll_interval, in.poll_interval);
        cr_assert_eq(out.uid, in.uid);
        cr_assert_eq(out.gid, 12);
        cr_assert_eq(out.mode, 0440);
        cr_assert(out.allow_other);
        cr_assert_not(out.xattr);
        cr_assert(out.audit);
        cr_assert_not(out.shape.cert_key_files);
        cr_assert(out.shape.keep_chain_order);
        cr_assert(sec_equal(out.identity.secret, in.identity.secret));
        cr_assert_str_eq(out.note, in.note);
        cr_assert_str_eq(out.selinux_context, in.selinux_context);

        cr_assert_eq(memcmp(&out.policy, &in.policy, sizeof out.policy), 0);
        cr_assert_eq(out.vaults.n, 1);
        cr_assert_str_eq(out.vaults.list[0].name, "kv-other");
        cr_assert_str_eq(out.vaults.list[0].url, "https://o");
        cr_assert_eq(out.class->n_selectors, 1);
        cr_assert_str_eq(out.class->selectors[0].glob, "a*");
        cr_assert_str_eq(out.class->selectors[0].tag, "x=y");
        cr_assert_eq(out.class->selectors[0].max, 9);
        cr_assert_eq(out.class->selectors[0].like.type, SPC_KEY);
        cr_assert_str_eq(out.class->selectors[0].like.alias, "k/*");
        cr_assert_eq(out.class->objects[0].optional, false);
        cr_assert(out.class->objects[1].optional);
        cr_assert_str_eq(out.class->objects[1].vault, "kv-other");

        cr_assert_str_eq(out.class->name, "web");
        cr_assert_str_eq(out.class->namespace, "prod");
        cr_assert_str_eq(out.class->vault, "kv-web");
        cr_assert_eq(out.class->n_objects, 4);
        cr_assert_eq(out.class->objects[2].files, SPC_FILES_FOLDER);
        for (size_t i = 0; i < 4; i++) {
                const struct spc_object *a = &in.class->objects[i], *b = &out.class->objects[i];
                cr_assert_str_eq(a->name, b->name);
                cr_assert_str_eq(a->alias, b->alias);
                cr_assert_str_eq(a->version, b->version);
                cr_assert_str_eq(a->file, b->file);
                cr_assert_eq(a->type, b->type);
                cr_assert_eq(a->format, b->format);
                cr_assert_eq(a->encoding, b->encoding);
                cr_assert_eq(a->files, b->files);
                cr_assert_eq(a->preset, b->preset);
                cr_assert_str_eq(a->json_path, b->json_path);
                cr_assert_eq(a->mode, b->mode);
                cr_assert_eq(a->history, b->history);
                cr_assert_eq(a->line, b->line);
                cr_assert_eq(a->column, b->column);
        }
}

/* Replaces member `name` of `where` and expects a refusal. */
static void refuse(cJSON *j, cJSON *where, const char *name, cJSON *value)
{
        _cleanup_json_ cJSON *before =
                cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(where, name), true);

        cJSON_ReplaceItemInObjectCaseSensitive(where, name, value);
        cr_assert_eq(mount_request_parse(j, &out, &e), -EBADMSG, "%s", name);
        cJSON_ReplaceItemInObjectCaseSensitive(where, name, cJSON_Duplicate(before, true));
        cr_assert_eq(mount_request_parse(j, &out, &e), 0, "%s", name);
        mount_request_done(&out);
}

Test(request, what_does_not_fit_is_refused)
{
        _cleanup_json_ cJSON *j = mount_request_format(&in);
        cJSON *class = cJSON_GetObjectItem(j, "class");
        cJSON *object = cJSON_GetArrayItem(cJSON_GetObjectItem(class, "objects"), 0);
        static const char *const paths[] = {
                "", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/."};
        char long_path[JSONPATH_MAX + 2] = "";

        memset(long_path, '$', sizeof long_path - 1);

        refuse(j, j, "mountpoint", cJSON_CreateString("relative"));
        refuse(j, j, "uid", cJSON_CreateNumber(-1));
        refuse(j, j, "uid", cJSON_CreateNumber(4294967295.0));
        refuse(j, j, "mode", cJSON_CreateNumber(01777));
        refuse(j, j, "poll_interval_ms", cJSON_CreateNumber(1e15));
        refuse(j, class, "name", cJSON_CreateNumber(1));
        refuse(j, class, "identity", cJSON_CreateNumber(4));
        refuse(j, object, "type", cJSON_CreateNumber(3));
        refuse(j, object, "mode", cJSON_CreateNumber(512));
        refuse(j, object, "history", cJSON_CreateNumber(SPC_HISTORY_MAX + 1));
        refuse(j, object, "files", cJSON_CreateNumber(SPC_FILES_FOLDER + 1));
        refuse(j, object, "preset", cJSON_CreateNumber(-1));
        refuse(j, object, "json_path", cJSON_CreateNumber(1));
        refuse(j, object, "json_path", cJSON_CreateString(long_path));
        refuse(j, object, "name", cJSON_CreateString(""));
        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                refuse(j, object, "file", cJSON_CreateString(paths[i]));
        /* what is put back is a copy: nothing below it can be used after these */
        refuse(j, j, "vaults", cJSON_CreateObject());
        refuse(j, class, "selectors", cJSON_CreateObject());
        refuse(j, class, "objects", cJSON_CreateString("x"));
        refuse(j, j, "class", cJSON_CreateNull());
        refuse(j, j, "identity", cJSON_CreateObject());
}

/* As the state of a mount is that a worker of an earlier version left. */
Test(request, what_came_later_may_be_missing)
{
        static const char *const later[] = {"files", "preset", "json_path"};
        _cleanup_json_ cJSON *j = mount_request_format(&in);
        cJSON *class = cJSON_GetObjectItem(j, "class"), *object;
        cJSON *objects = cJSON_GetObjectItem(class, "objects");

        cJSON_DeleteItemFromObject(class, "selectors");
        cJSON_DeleteItemFromObject(j, "vaults");
        cJSON_DeleteItemFromObject(j, "remove_disabled");
        cJSON_DeleteItemFromObject(j, "cert_key_files");
        cJSON_DeleteItemFromObject(j, "keep_chain_order");
        cJSON_DeleteItemFromObject(j, "selinux_context");
        cJSON_ArrayForEach (object, objects)
                for (size_t i = 0; i < ELEMENTSOF(later); i++)
                        cJSON_DeleteItemFromObject(object, later[i]);
        cr_assert_eq(mount_request_parse(j, &out, &e), 0, "%s", err_text(&e));
        cr_assert_not(out.shape.keep_chain_order);
        cr_assert_null(out.selinux_context);
        cr_assert_not(out.policy.remove_disabled);
        cr_assert(out.policy.remove_forbidden);
        cr_assert_eq(out.vaults.n, 0);
        cr_assert_eq(out.class->n_selectors, 0);
        cr_assert_eq(out.class->n_objects, 4);
        cr_assert_eq(out.class->objects[2].files, SPC_FILES_DEFAULT);
        cr_assert_str_eq(out.class->objects[3].json_path, "");
}

Test(request, a_label_that_is_none_is_refused)
{
        free(in.selinux_context);
        in.selinux_context = strdup("a:b:c suid");
        _cleanup_json_ cJSON *j = mount_request_format(&in);

        cr_assert_eq(mount_request_parse(j, &out, &e), -EBADMSG);
}

Test(request, too_many_objects_are_refused)
{
        _cleanup_json_ cJSON *j = mount_request_format(&in);
        cJSON *objects = cJSON_GetObjectItem(cJSON_GetObjectItem(j, "class"), "objects");

        for (int n = cJSON_GetArraySize(objects); n <= SPC_OBJECTS_MAX; n++)
                cJSON_AddItemToArray(objects, cJSON_CreateObject());
        cr_assert_eq(mount_request_parse(j, &out, &e), -EBADMSG);
}
