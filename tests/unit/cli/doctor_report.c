#include "cli/doctor_report.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

static struct doctor_report r;

Test(doctor_report, the_first_failure_is_the_status, .init = cr_redirect_stdout)
{
        cr_assert_eq(doctor_report_begin(&r, false), 0);
        doctor_say(&r, DOCTOR_CLASS, DOCTOR_OK, "c.yaml", NULL, "%d objects", 2);
        doctor_say(&r, DOCTOR_TLS, DOCTOR_FAIL, "v", "first\nsecond", "no\x1b[31m");
        doctor_say(&r, DOCTOR_CLASS, DOCTOR_FAIL, NULL, NULL, "later");
        doctor_say(&r, DOCTOR_VAULT, DOCTOR_SKIP, NULL, NULL, "not looked at");
        cr_expect_eq(doctor_report_end(&r, "c"), 15);
        cr_assert_stdout_eq_str("ok    class     c.yaml: 2 objects\n"
                                "FAIL  tls       v: no?[31m\n"
                                "      first\n"
                                "      second\n"
                                "FAIL  class     later\n"
                                "-     vault     not looked at\n");
}

Test(doctor_report, as_json, .init = cr_redirect_stdout)
{
        _cleanup_err_ struct err e = {0};

        err_set(&e, -EIO, "broken \"here\"");
        err_hint(&e, "mend it");
        cr_assert_eq(doctor_report_begin(&r, true), 0);
        doctor_say(&r, DOCTOR_DNS, DOCTOR_NOTE, NULL, NULL, "well");
        doctor_fail(&r, DOCTOR_OBJECT, "pw", &e);
        cr_expect_eq(doctor_report_end(&r, "web"), 19);
        cr_assert_stdout_eq_str(
                "{\n\t\"class\":\t\"web\",\n\t\"ok\":\tfalse,\n\t\"status\":\t19,\n\t\"checks\":\t[{\n"
                "\t\t\t\"check\":\t\"dns\",\n\t\t\t\"state\":\t\"note\",\n\t\t\t\"subject\":\tnull,\n"
                "\t\t\t\"text\":\t\"well\",\n\t\t\t\"hint\":\tnull\n\t\t}, {\n"
                "\t\t\t\"check\":\t\"object\",\n\t\t\t\"state\":\t\"fail\",\n"
                "\t\t\t\"subject\":\t\"pw\",\n\t\t\t\"text\":\t\"broken \\\"here\\\"\",\n"
                "\t\t\t\"hint\":\t\"mend it\"\n\t\t}]\n}\n");
}
