/* SPDX-License-Identifier: MIT
 *
 * storm_foreign.c: `--provider FILE.so`: a provider that somebody else wrote (<pinwheel/test.h>), in the place of
 * storm_provider.c's.
 *
 * What the ledger knows of its operations is what a consumer knows: they were started, and how they ended. So they
 * are judged as sleeps are, the other operations whose provider the storm does not see into.
 *
 * Context: load, open, close: the main thread; the rest any thread.
 */
#include "bench/storm/storm_foreign.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "bench/command/command.h"

static const struct pinwheel_provider *foreign;
static void *foreign_self;
static void *library;

/* A name without a slash would be searched for among the system's libraries. */
static void *
open_library(const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s%s", strchr(file, '/') == NULL ? "./" : "", file);
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static int
refuse(const char *file, const char *why)
{
	fprintf(stderr, "pinwheel storm: --provider=%s: %s\n", file, why);
	return PW_EXIT_USAGE;
}

int
pw_foreign_load(const char *file)
{
	char why[160];

	library = open_library(file);
	if (library == NULL) {
		fprintf(stderr, "pinwheel storm: --provider: %s\n", dlerror());
		return PW_EXIT_ENVIRONMENT;
	}
	void *symbol = dlsym(library, PINWHEEL_PROVIDER_SYMBOL);
	if (symbol == NULL) {
		return refuse(file, "it exports no " PINWHEEL_PROVIDER_SYMBOL ", as <pinwheel/test.h> asks");
	}
	pinwheel_provider_get_fn get;
	_Static_assert(sizeof(get) == sizeof(symbol), "POSIX: a function's address is a pointer");
	memcpy(&get, &symbol, sizeof(get));
	const struct pinwheel_provider *found = get();
	if (found == NULL) {
		return refuse(file, PINWHEEL_PROVIDER_SYMBOL " returned NULL");
	}
	if (found->version != PINWHEEL_PROVIDER_VERSION) {
		snprintf(why, sizeof(why), "it is a provider of version %u, this command knows version %u",
		    (unsigned) found->version, PINWHEEL_PROVIDER_VERSION);
		return refuse(file, why);
	}
	if (found->name == NULL || found->open == NULL || found->start == NULL || found->complete == NULL ||
	    found->close == NULL) {
		return refuse(file, "name, open, start, complete and close must be set");
	}
	if ((found->promises & ~PINWHEEL_PROVIDER_CANCELS) != 0) {
		return refuse(file, "it promises what this command does not know");
	}
	foreign = found;
	return PW_EXIT_OK;
}

bool
pw_foreign_open(uint32_t aios)
{
	if (foreign == NULL) {
		return true;
	}
	foreign_self = foreign->open(aios);
	if (foreign_self == NULL) {
		fprintf(stderr, "pinwheel storm: the provider %s does not open\n", foreign->name);
	}
	return foreign_self != NULL;
}

void
pw_foreign_close(void)
{
	if (foreign != NULL) {
		foreign->close(foreign_self);
	}
}

const char *
pw_foreign_name(void)
{
	return foreign != NULL ? foreign->name : NULL;
}

bool
pw_foreign_cancels(void)
{
	return (foreign->promises & PINWHEEL_PROVIDER_CANCELS) != 0;
}

void
pw_foreign_start(nng_aio *aio)
{
	foreign->start(foreign_self, aio);
}

void
pw_foreign_complete(nng_aio *aio)
{
	foreign->complete(foreign_self, aio);
}

const char *
pw_foreign_check(nng_aio *aio)
{
	return foreign->check != NULL ? foreign->check(foreign_self, aio) : NULL;
}
