/* A look at each object of a class, all at the same time; no value is kept. */
#pragma once

#include "cli/direct.h"
#include "cli/doctor_report.h"

void doctor_check_objects(
        const struct direct *way, const struct spc_class *class, struct doctor_report *r);
