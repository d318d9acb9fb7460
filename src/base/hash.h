/*
 * A 64-bit hash of bytes, a word at a time: multiply and fold, as splitmix64 does. It tells files
 * and their versions apart; against accidents, not enemies. Chain calls by `h`.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(uint64_t h, const void *bytes, size_t size);

#endif
