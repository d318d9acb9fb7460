/*
 * A deck of n words is a permutation; sentence i of seed s takes card i mod n of deck i / n, where
 * deck d of place p is a Fisher-Yates shuffle seeded by (s, p, d). So any sentence can be had
 * without those before it, which lets clips be made in any order by several processes.
 */
#include "grammar.h"

#include "base/random.h"

#include <stdio.h>
#include <string.h>

static const char *const command[] = {"bin", "lay", "place", "set", NULL};
static const char *const colour[] = {"blue", "green", "red", "white", NULL};
static const char *const preposition[] = {"at", "by", "in", "with", NULL};
static const char *const letter[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i",
                                     "j", "k", "l", "m", "n", "o", "p", "q", "r",
                                     "s", "t", "u", "v", "x", "y", "z", NULL};
static const char *const digit[] = {"zero", "one",   "two",   "three", "four", "five",
                                    "six",  "seven", "eight", "nine",  NULL};
static const char *const adverb[] = {"again", "now", "please", "soon", NULL};
static const char *const *const places[GRAMMAR_WORDS] = {command, colour, preposition,
                                                         letter,  digit,  adverb};

static const char *const letter_phones[] = {
    "ey1",    "b iy1", "s iy1", "d iy1", "iy1",   "eh1 f",   "jh iy1", "ey1 ch",  "ay1",
    "jh ey1", "k ey1", "eh1 l", "eh1 m", "eh1 n", "ow1",     "p iy1",  "k y uw1", "aa1 r",
    "eh1 s",  "t iy1", "y uw1", "v iy1", NULL,    "eh1 k s", "w ay1",  "z iy1"};

static int count_words(const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    return n;
}

static const char *dealt(uint64_t seed, int place, int64_t index)
{
    int n = count_words(places[place]), deck[32];
    struct random r;
    random_seed(&r, seed * 1000003u + (uint64_t)place * 7919u + (uint64_t)(index / n) * 104729u);
    for (int i = 0; i < n; i++)
        deck[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)random_below(&r, i + 1), swap = deck[i];
        deck[i] = deck[j];
        deck[j] = swap;
    }
    return places[place][deck[index % n]];
}

void grammar_sentence(char *text, size_t capacity, uint64_t seed, int64_t index)
{
    snprintf(text, capacity, "%s %s %s %s %s %s", dealt(seed, 0, index), dealt(seed, 1, index),
             dealt(seed, 2, index), dealt(seed, 3, index), dealt(seed, 4, index),
             dealt(seed, 5, index));
}

bool grammar_has(const char *text)
{
    for (int place = 0; place < GRAMMAR_WORDS; place++) {
        size_t length = strcspn(text, " ");
        const char *const *w = places[place];
        while (*w && (strlen(*w) != length || memcmp(*w, text, length) != 0))
            w++;
        if (!*w || text[length] != (place == GRAMMAR_WORDS - 1 ? '\0' : ' '))
            return false;
        text += length + 1;
    }
    return true;
}

const char *grammar_phones(const char *word, int place, bool british)
{
    if (place == 4)
        return british && strcmp(word, "four") == 0 ? "f ao1" : NULL;
    if (place != 3 || word[0] < 'a' || word[0] > 'z' || word[1] != '\0')
        return NULL;
    if (british && word[0] == 'z')
        return "z eh1 d";
    if (british && word[0] == 'r')
        return "aa1";
    return letter_phones[word[0] - 'a'];
}
