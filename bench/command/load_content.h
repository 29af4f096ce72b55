/* SPDX-License-Identifier: MIT
 *
 * load_content.h: the bytes of a message. Each depends on the process, the connection, the message and its own
 * position, so that a message of another connection, an older one, or a shifted one differs in most of them; and any
 * part of a message can be compared without the rest.
 *
 * Messages of PW_CONTENT_HEAD bytes and more begin with who sent them and their number, so that a datagram can be
 * recognised. In shorter ones every byte is as above.
 *
 * Numbers are in the machine's byte order: what is sent comes back to the same process.
 */
#ifndef PINWHEEL_BENCH_LOAD_CONTENT_H
#define PINWHEEL_BENCH_LOAD_CONTENT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PW_CONTENT_HEAD 16u

struct pw_content {
	uint64_t sender; /* pw_content_sender */
	uint64_t number; /* of the message */
	size_t size;
};

/* The finalizer of SplitMix64 (Steele, Lea, Flood): every bit of the result depends on every bit of z. */
static inline uint64_t
pw_content_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t
pw_content_sender(uint64_t process, uint32_t connection)
{
	return pw_content_mix(process + connection * UINT64_C(0x9e3779b97f4a7c15));
}

/* Bytes 8 * index and on. */
static inline uint64_t
pw_content_word(const struct pw_content *content, size_t index)
{
	if (content->size >= PW_CONTENT_HEAD && index < 2) {
		return index == 0 ? content->sender : content->number;
	}
	return pw_content_mix(content->sender + content->number * UINT64_C(0x9e3779b97f4a7c15) + index);
}

static inline void
pw_content_fill(const struct pw_content *content, unsigned char *bytes)
{
	for (size_t at = 0; at < content->size; at += 8) {
		uint64_t word = pw_content_word(content, at / 8);
		size_t left = content->size - at;
		memcpy(bytes + at, &word, left < 8 ? left : 8);
	}
}

/* Compares `count` bytes with those of the message from `at` on. Returns the position in `bytes` of the first that
 * differs, or count. */
static inline size_t
pw_content_compare(const struct pw_content *content, size_t at, const unsigned char *bytes, size_t count)
{
	for (size_t done = 0; done < count;) {
		uint64_t word = pw_content_word(content, (at + done) / 8);
		unsigned char expected[8];
		size_t skip = (at + done) % 8;
		if (skip == 0 && count - done >= 8 && memcmp(bytes + done, &word, 8) == 0) {
			done += 8;
			continue;
		}
		size_t n = 8 - skip < count - done ? 8 - skip : count - done;
		memcpy(expected, &word, 8);
		if (memcmp(expected + skip, bytes + done, n) != 0) {
			while (expected[skip] == bytes[done]) {
				skip++;
				done++;
			}
			return done;
		}
		done += n;
	}
	return count;
}

#endif
