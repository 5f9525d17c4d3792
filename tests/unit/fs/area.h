/* Journals as a test wants them: cut, bent, or none at all. */
#pragma once

#include "fs/journal.h"

/* The area's beginning, as fs/journal.c has it. */
struct area_head {
        uint32_t magic, version;
        uint64_t committed;
        uint64_t reserved[6];
};
#define AREA_HEADER sizeof(struct area_head)
#define AREA_GOOD ((struct area_head){.magic = 0x6c6a6b61u, .version = JOURNAL_VERSION})

/* A memfd of that size that begins with head. */
int area_of(const struct area_head *head, size_t size);
/* A copy of j of which only `committed` bytes count, as a successor opens it. */
struct journal *area_cut(const struct journal *j, size_t committed);
/* Puts 32 bits at an offset behind the head. */
void area_poke(struct journal *j, size_t offset, uint32_t value);
