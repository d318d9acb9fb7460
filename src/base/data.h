/*
 * Where lies what comes with the program (models/tiny): in share/mome beside the bin/ that it was
 * installed in, wherever that was moved to, or in the source tree that it was built in
 * (build/PRESET/mome). The working folder is not asked: what lies there is the user's.
 */
#ifndef BASE_DATA_H
#define BASE_DATA_H

/* The path of a file or folder of that name, which is there; NULL: nowhere, or no memory. Freed by
   memory_free. */
char *data_find(const char *name);
/* The same for a program elsewhere. */
char *data_find_beside(const char *program, const char *name);

/* The same for this program's default model: $MOME_MODEL, whether it is there or not, else
   models/tiny. */
char *data_default_model(void);

#endif
