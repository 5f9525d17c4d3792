/* user.akvfs.* attributes (-o xattr): what an operator wants to know of a file, read with getfattr.
 *
 *   object_id      the vault's id of this version          version       its version
 *   enabled        true or false                           content_type  as the vault says
 *   expires        RFC 3339, absent when it never does     updated       RFC 3339
 *   last_refresh   when the vault last confirmed it        last_error    of the last poll, if it
 * failed
 */
#pragma once

#include "fs/fuse.h"

void session_op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void session_op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size);
