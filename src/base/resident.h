/* The memory of this process that is in RAM, as the system counts it. */
#ifndef BASE_RESIDENT_H
#define BASE_RESIDENT_H

#include <stdint.h>

int64_t resident_bytes(void);      /* now; 0: not known */
int64_t resident_peak_bytes(void); /* the most there was, since the last reset */
void resident_peak_reset(void);    /* does nothing where the system can't */

#endif
