/* What the headers of vkattn_nn share. SPDX-License-Identifier: MIT */
#ifndef VKATTN_NN_API_H
#define VKATTN_NN_API_H

/* Marks what the library vkattn_nn exports. */
#if defined(_WIN32) && defined(VKA_SHARED)
#    ifdef VKA_NN_BUILDING
#        define VKA_NN_API __declspec(dllexport)
#    else
#        define VKA_NN_API __declspec(dllimport)
#    endif
#elif defined(__GNUC__)
#    define VKA_NN_API __attribute__((visibility("default")))
#else
#    define VKA_NN_API
#endif

#endif
