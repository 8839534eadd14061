/* What C and GLSL share of sums over dimensions. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_SUM_H
#define VKA_PARAMS_SUM_H

#include "params.h"

/* One sum over some dimensions of x. Rows of the result are those of the dimensions that are kept. */
VKA_STRUCT(vka_sum_params) {
    vka_strides kept;    /* of x, of the dimensions that are kept; d of a column                         */
    vka_strides summed;  /* of x, of the others                                                          */
    vka_strides size;    /* of those; 1 where a dimension is kept                                        */
    vka_strides out_;
    vka_strides kept_ids; /* of ids likewise                                                             */
    vka_strides summed_ids;
    VKA_UINT_ cols;
    VKA_UINT_ units;      /* vectors of a row                                                            */
    VKA_UINT_ total;      /* terms of a sum                                                              */
    VKA_UINT_ part;       /* terms of a part of it: a workgroup's                                        */
    VKA_UINT_ part_stride; /* of out: from one part's results to the next ones                           */
    VKA_UINT_ copy_stride; /* of x: from one copy to the next one                                        */
    VKA_UINT_ table;      /* terms whose id is not below it don't count                                  */
}
VKA_END(vka_sum_params);

#define VKA_FLAG_ACCUMULATE 128 /* the result is added to what is there                                  */
#define VKA_FLAG_IDS        256

#endif
