#include <ctype.h>
#include <strings.h>

#include "spc/report.h"

#define WORD_MAX 48

static size_t min3(size_t a, size_t b, size_t c)
{
        return MIN(MIN(a, b), c);
}

/* Edits without regard to case: a letter too many, too few, another one, or two swapped. */
static size_t distance(const char *a, const char *b)
{
        size_t la = strlen(a), lb = strlen(b);
        size_t rows[3][WORD_MAX + 1];
        size_t *before = rows[0], *above = rows[1], *row = rows[2];

        for (size_t j = 0; j <= lb; j++)
                above[j] = j;
        for (size_t i = 1; i <= la; i++) {
                row[0] = i;
                for (size_t j = 1; j <= lb; j++) {
                        int x = tolower((unsigned char)a[i - 1]);
                        int y = tolower((unsigned char)b[j - 1]);
                        row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y));
                        if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                                y == tolower((unsigned char)a[i - 2]))
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
                size_t *unused = before;
                before = above;
                above = row;
                row = unused;
        }
        return above[lb];
}

const char *suggest(const char *word, const char *const *known)
{
        const char *best = NULL;
        size_t n = strlen(word), best_distance = SIZE_MAX;

        if (n == 0 || n > WORD_MAX)
                return NULL;
        for (; *known; known++) {
                size_t m = strlen(*known);
                if (m > WORD_MAX)
                        continue;
                size_t d = distance(word, *known);
                /* A quarter of the word may be wrong; a part of a known word is as good as it. */
                if (n >= 4 && n < m && strcasestr(*known, word))
                        d = 1;
                if (d <= MAX(n, m) / 4 && d < best_distance) {
                        best = *known;
                        best_distance = d;
                }
        }
        return best;
}
