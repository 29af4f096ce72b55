/* SPDX-License-Identifier: MIT
 *
 * dlopen.c LIBRARY: loads a libpinwheel.so at run time, as a plugin host would, and sleeps a millisecond through it.
 */
#include <dlfcn.h>
#include <stdio.h>

#include <nng/nng.h>

/* The symbols of the contract carry the prefix of the library; *(void **) is POSIX's own way to store a function. */
static void
find(void *library, const char *name, void *function)
{
	*(void **) function = dlsym(library, name);
	if (*(void **) function == NULL) {
		fprintf(stderr, "%s\n", dlerror());
	}
}

int
main(int argc, char **argv)
{
	nng_err (*init)(const nng_init_params *);
	void (*fini)(void);
	nng_err (*aio_alloc)(nng_aio **, void (*)(void *), void *);
	void (*aio_free)(nng_aio *);
	void (*sleep_aio)(nng_duration, nng_aio *);
	void (*aio_wait)(nng_aio *);
	nng_err (*aio_result)(nng_aio *);
	nng_aio *aio;

	void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	if (library == NULL) {
		fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: dlopen LIBRARY");
		return 2;
	}
	find(library, "pinwheel_nng_init", &init);
	find(library, "pinwheel_nng_fini", &fini);
	find(library, "pinwheel_nng_aio_alloc", &aio_alloc);
	find(library, "pinwheel_nng_aio_free", &aio_free);
	find(library, "pinwheel_nng_sleep_aio", &sleep_aio);
	find(library, "pinwheel_nng_aio_wait", &aio_wait);
	find(library, "pinwheel_nng_aio_result", &aio_result);
	if (!init || !fini || !aio_alloc || !aio_free || !sleep_aio || !aio_wait || !aio_result) {
		return 1;
	}
	if (init(NULL) != NNG_OK || aio_alloc(&aio, NULL, NULL) != NNG_OK) {
		return 1;
	}
	sleep_aio(1, aio);
	aio_wait(aio);
	int failed = aio_result(aio) != NNG_OK;
	aio_free(aio);
	fini();
	return failed;
}
