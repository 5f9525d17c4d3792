/* libgrpc's functions, found when they are wanted and not when the program starts.
 *
 * Every process of akvfs is the same program, and none but the driver's worker speaks gRPC. Linked,
 * libgrpc and the forty libraries behind it cost each of them 6 MiB resident and 8 ms of its start,
 * more than all the rest (gRPC 1.51 of Debian 12). Loaded, it stays until the process ends: its
 * threads may still be at work when grpc_shutdown() has returned.
 *
 * The declarations are those of its headers; a library of another ABI has another name.
 */
#pragma once

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "base/err.h"

#define GRPC_CORE_FUNCTIONS(X)                     \
        X(gpr_convert_clock_type)                  \
        X(gpr_inf_future)                          \
        X(gpr_set_log_function)                    \
        X(gpr_time_cmp)                            \
        X(grpc_byte_buffer_destroy)                \
        X(grpc_byte_buffer_length)                 \
        X(grpc_byte_buffer_reader_destroy)         \
        X(grpc_byte_buffer_reader_init)            \
        X(grpc_byte_buffer_reader_peek)            \
        X(grpc_call_details_destroy)               \
        X(grpc_call_details_init)                  \
        X(grpc_call_error_to_string)               \
        X(grpc_call_start_batch)                   \
        X(grpc_call_unref)                         \
        X(grpc_completion_queue_create_for_next)   \
        X(grpc_completion_queue_destroy)           \
        X(grpc_completion_queue_next)              \
        X(grpc_completion_queue_shutdown)          \
        X(grpc_empty_slice)                        \
        X(grpc_init)                               \
        X(grpc_insecure_server_credentials_create) \
        X(grpc_metadata_array_destroy)             \
        X(grpc_metadata_array_init)                \
        X(grpc_raw_byte_buffer_create)             \
        X(grpc_server_add_channel_from_fd)         \
        X(grpc_server_cancel_all_calls)            \
        X(grpc_server_create)                      \
        X(grpc_server_credentials_release)         \
        X(grpc_server_destroy)                     \
        X(grpc_server_register_completion_queue)   \
        X(grpc_server_request_call)                \
        X(grpc_server_shutdown_and_notify)         \
        X(grpc_server_start)                       \
        X(grpc_shutdown)                           \
        X(grpc_slice_from_copied_buffer)           \
        X(grpc_slice_malloc)                       \
        X(grpc_slice_str_cmp)                      \
        X(grpc_slice_unref)

/* Each under its own name: core->grpc_init(). */
struct grpc_core {
#define X(name) __typeof__(&(name)) name;
        GRPC_CORE_FUNCTIONS(X)
#undef X
};

/* GRPC_CORE_LIBRARY is the name that the build found, "libgrpc.so.29". Reads files unless it is
 * loaded already. ERR_LOCAL with a hint: it is not there, or lacks a function. */
int grpc_core_load(const char *library, struct grpc_core *ret, struct err *e);
