/* The only place that includes libfuse: one API version, one spelling. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
