# cmake -DFILES=a.spv,b.spv -DOUT=x.h -P CodeHash.cmake: a header with a hash of SPIR-V.

string(REPLACE "," ";" FILES "${FILES}")
set(hashes "")
foreach(file IN LISTS FILES)
    file(SHA256 ${file} hash)
    string(APPEND hashes ${hash})
endforeach()
string(SHA256 hash "${hashes}")
string(SUBSTRING ${hash} 0 16 hash)
file(WRITE ${OUT} "#define VKA_CODE_HASH UINT64_C(0x${hash})\n")
