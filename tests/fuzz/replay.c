/* SPDX-License-Identifier: MIT
 *
 * replay.c: runs a fuzz target over files, where there is no fuzzer: replay FOLDER... . Prints how many there were; a
 * broken law aborts. Exit 1: none was found.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned
replay_file(const char *folder, const char *name)
{
	char path[4096];
	uint8_t data[1 << 16];

	(void) snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		return 0;
	}
	size_t size = fread(data, 1, sizeof(data), file);
	(void) fclose(file);
	(void) LLVMFuzzerTestOneInput(data, size);
	return 1;
}

int
main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);
		if (folder == NULL) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
			count += entry->d_name[0] != '.' ? replay_file(argv[i], entry->d_name) : 0;
		}
		(void) closedir(folder);
	}
	(void) printf("%u inputs\n", count);
	return count != 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
