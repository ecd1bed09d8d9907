/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nat/block.h"

#define MAX_PORTS 6

static void the_smallest_block_that_holds_all(void **state)
{
    static const struct {
        uint16_t ports[MAX_PORTS]; /* up to the first 0 */
        uint32_t size;
        uint16_t first;
    } table[] = {
        {{0}, 0, 0},
        {{5000}, 0, 0},
        {{500, 510, 505}, 0, 0}, /* ports that no block has */
        {{1024, 1087}, 64, 1024},
        {{1087, 1088}, 128, 1024},
        {{20480, 21503, 21000, 20700}, 1024, 20480},
        {{20480, 21504}, 2048, 20480},          /* counted from 1024 it would begin at 19456 */
        {{3072, 5119, 4000}, 2048, 3072},       /* counted from 1024 */
        {{2048, 4095, 3000}, 2048, 2048},       /* counted from 0 */
        {{5120, 9215, 7000, 6000}, 4096, 5120}, /* counted from 1024 */
        {{1024, 65535}, 0, 0},
        {{30000, 36000, 33000}, 0, 0},
        {{65472, 65535}, 64, 65472},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint16_t first = 0;
        size_t count = 0;
        uint32_t size;

        while (count < MAX_PORTS && table[i].ports[count] != 0)
            count++;
        size = nat_block_find(table[i].ports, count, &first);
        if (size != table[i].size || (size != 0 && first != table[i].first))
            fail_msg("row %zu: %u ports from %u", i, size, first);
    }
}

/* Whatever the ports: the block holds them, and ends where the ports end. */
static void any_ports(void **state)
{
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint16_t ports[MAX_PORTS], first = 0;
        uint32_t size, width = 1u << (round % 16);

        seed = seed * 1664525u + 1013904223u;
        for (size_t i = 0, base = seed >> 16; i < MAX_PORTS; i++) {
            seed = seed * 1664525u + 1013904223u;
            ports[i] = (uint16_t)(base + (seed >> 16) % width);
        }
        size = nat_block_find(ports, MAX_PORTS, &first);
        if (size == 0)
            continue;
        assert_true(first + size <= 65536);
        for (size_t i = 0; i < MAX_PORTS; i++)
            assert_true(ports[i] >= first && ports[i] < first + size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_block_that_holds_all),
        cmocka_unit_test(any_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
