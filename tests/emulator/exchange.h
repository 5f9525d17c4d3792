/* One exchange: a whole request in, log, faults and handler, the answer out. */
#pragma once

#include "tests/emulator/http.h"

/* Runs on the connection's own thread and may wait there. MHD_NO closes the connection. */
enum MHD_Result exchange(struct request *r);
