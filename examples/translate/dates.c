/* SPDX-License-Identifier: MIT */
#include "dates.h"

#include "common/program.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DAYS = 36525, FIRST_YEAR = 1970, FIRST_WEEKDAY = 4 };

static const char characters[] = " ',-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char classes[] = "0123456789-";

static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const weekdays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const roman[] = {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};

/* %d %D  day as 3, 03     %o  3rd      %m %M  month as 3, 03     %b %B  Mar, March     %r  III
 * %y %Y  year as 19, 2019              %w %W  Sun, Sunday */
static const char *const spellings[] = {
    "%B %d, %Y", "%B %d %Y", "%B %o, %Y", "%B %o %Y", "%b %d, %Y", "%b %d %Y", "%b. %d, %Y", "%b %o, %Y", "%b %d '%y",
    "%d %B %Y", "%d %b %Y", "%D %b %Y", "%d. %B %Y", "%d %b. %Y", "%d %b %y", "%d %B '%y", "%D-%b-%Y", "%d-%b-%y",
    "%o of %B, %Y", "%o of %B %Y", "the %o of %B, %Y", "%o %B %Y", "%o %b %Y", "%o of %b '%y", "%w %d %b %Y",
    "%w, %D %b %Y", "%w %b %d %Y", "%w, %b %d, %Y", "%W, %B %d, %Y", "%W, %d %B %Y", "%W %o %b %Y", "%d.%r.%Y",
    "%d. %r. %Y", "%Y-%m-%d", "%Y.%m.%d", "%Y.%M.%D", "%Y/%m/%d", "%Y/%M/%D", "%Y%M%D", "%Y %B %d", "%Y %b %D",
    "%Y, %B %o",
    /* Their order is not said. */
    "%d/%m/%Y", "%D/%M/%Y", "%d/%m/%y", "%D/%M/%y", "%d.%m.%Y", "%D.%M.%y", "%D-%M-%Y", "%m/%d/%Y", "%M/%D/%Y",
    "%m/%d/%y", "%M/%D/%y", "%M-%D-%Y"};

typedef struct day {
    int year, month, day, weekday; /* months from 1 on, weekdays from Sunday */
} day;

static int days_of(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && year % 4 == 0); /* 2000 was a leap year */
}

static day day_of(uint32_t number) {
    day d = {FIRST_YEAR, 1, 1 + (int)number, (int)((number + FIRST_WEEKDAY) % 7)};
    while (d.day > days_of(d.year, d.month)) {
        d.day -= days_of(d.year, d.month);
        if (++d.month > 12) {
            d.month = 1;
            d.year++;
        }
    }
    return d;
}

static const char *ordinal(int n) {
    return n / 10 == 1 ? "th" : n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";
}

static int spell_field(char *to, size_t size, const day *d, char field) {
    switch (field) {
    case 'd':
        return snprintf(to, size, "%d", d->day);
    case 'D':
        return snprintf(to, size, "%02d", d->day);
    case 'o':
        return snprintf(to, size, "%d%s", d->day, ordinal(d->day));
    case 'm':
        return snprintf(to, size, "%d", d->month);
    case 'M':
        return snprintf(to, size, "%02d", d->month);
    case 'b':
        return snprintf(to, size, "%.3s", months[d->month - 1]);
    case 'B':
        return snprintf(to, size, "%s", months[d->month - 1]);
    case 'r':
        return snprintf(to, size, "%s", roman[d->month - 1]);
    case 'y':
        return snprintf(to, size, "%02d", d->year % 100);
    case 'Y':
        return snprintf(to, size, "%d", d->year);
    case 'w':
        return snprintf(to, size, "%.3s", weekdays[d->weekday]);
    default:
        return snprintf(to, size, "%s", weekdays[d->weekday]);
    }
}

/* false: it is longer than sources are, or says not which number is the day. */
static bool spell(char to[DATE_SOURCE + 1], const day *d, const char *spelling) {
    const bool ordered = spelling[1] == 'Y' || strpbrk(spelling, "bBr");
    char text[64];
    size_t length = 0;
    for (const char *c = spelling; *c; c++) {
        if (*c == '%') {
            length += (size_t)spell_field(text + length, sizeof text - length, d, *++c);
        } else {
            text[length++] = *c;
        }
    }
    text[length] = 0;
    memcpy(to, text, length <= DATE_SOURCE ? length + 1 : 0);
    return length <= DATE_SOURCE && (ordered || d->day > 12 || d->day == d->month);
}

/* Mostly as it is, and sometimes all small or all large. */
static void change_case(random_state *r, char *text) {
    uint32_t kind = random_below(r, 8);
    for (char *c = text; *c && kind < 3; c++) {
        *c = (char)(kind ? tolower((unsigned char)*c) : toupper((unsigned char)*c));
    }
}

/* Whatever is drawn otherwise, a day is always of the same kind. */
static bool is_for_judging(uint32_t number) {
    random_state r = random_seed(number, "for judging");
    return random_below(&r, 10) == 0;
}

date_pair date_draw(random_state *r, bool judges) {
    date_pair p;
    uint32_t number;
    do {
        number = random_below(r, DAYS);
    } while (is_for_judging(number) != judges);
    const day d = day_of(number);
    while (!spell(p.source, &d, spellings[random_below(r, sizeof spellings / sizeof *spellings)])) {
    }
    change_case(r, p.source);
    snprintf(p.target, sizeof p.target, "%04u-%02u-%02u", (unsigned)d.year % 10000, (unsigned)d.month % 100,
             (unsigned)d.day % 100);
    return p;
}

static int32_t place_in(const char *list, char c) {
    const char *at = c ? strchr(list, c) : NULL;
    return at ? (int32_t)(at - list) : -1;
}

uint32_t date_characters(void) {
    return sizeof characters - 1;
}

int32_t date_character(char c) {
    return place_in(characters, c);
}

int32_t date_class(char c) {
    return place_in(classes, c);
}

char date_letter(int32_t class) {
    return class >= 0 && class < DATE_BEGIN ? classes[class] : '?';
}
