/*
 * The sentences of the GRID corpus (Cooke, Barker, Cunningham, Shao 2006): command, colour,
 * preposition, letter, digit, adverb; 4 x 4 x 4 x 25 x 10 x 4 = 64,000 of them. And how its
 * speakers say a letter's name.
 */
#ifndef SYNTH_GRAMMAR_H
#define SYNTH_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAMMAR_WORDS 6

/* Sentence `index` of the endless balanced list of `seed`: every word of every place comes equally
   often (each place deals its words from a deck that is shuffled anew when it is empty).
   text: at least 64 bytes. */
void grammar_sentence(char *text, size_t capacity, uint64_t seed, int64_t index);

/* Is `text` a sentence of the grammar (lower case, single spaces)? */
bool grammar_has(const char *text);

/* Flite phones of the word at `place` (0 .. 5) of such a sentence where flite's own lexicon would
   say something else, as "z eh1 d"; NULL: as the lexicon has it. */
const char *grammar_phones(const char *word, int place, bool british);

#endif
