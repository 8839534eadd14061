# cmake -DFOLDER=x -DNAMES=a,b -DOUT=x.h -P CodeHash.cmake: a header with a hash of the SPIR-V in x/a.spv and x/b.spv.

string(REPLACE "," ";" NAMES "${NAMES}")
set(hashes "")
foreach(name IN LISTS NAMES)
    file(SHA256 ${FOLDER}/${name}.spv hash)
    string(APPEND hashes ${hash})
endforeach()
string(SHA256 hash "${hashes}")
string(SUBSTRING ${hash} 0 16 hash)
file(WRITE ${OUT} "#define VKA_CODE_HASH UINT64_C(0x${hash})\n")
