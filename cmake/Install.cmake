# cmake --install: libraries, headers, a package for find_package(vkattn) and one for pkg-config; the bench; the licence
# and the documents.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vkattn)

install(TARGETS vkattn vkattn_static EXPORT vkattn
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET vkattn_nn)
    set_target_properties(vkattn_nn PROPERTIES INSTALL_RPATH "$ORIGIN")
    install(TARGETS vkattn_nn EXPORT vkattn LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
            RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET vkattn-bench)
    # It finds the library from where it is: the installed tree can be moved.
    file(RELATIVE_PATH to_library ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(vkattn-bench PROPERTIES INSTALL_RPATH "$ORIGIN/${to_library}")
    install(TARGETS vkattn-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES bench/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/bench)
# Headers lie elsewhere than in the sources, and what is not installed has no links.
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_DOCDIR BASE_DIRECTORY / OUTPUT_VARIABLE doc_dir)
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_INCLUDEDIR BASE_DIRECTORY / OUTPUT_VARIABLE include_dir)
file(RELATIVE_PATH to_include ${doc_dir} ${include_dir})
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_DOCDIR BASE_DIRECTORY "\${CMAKE_INSTALL_PREFIX}" OUTPUT_VARIABLE installed_docs)
install(CODE "set(DOCS \"\$ENV{DESTDIR}${installed_docs}\")\nset(INCLUDE ${to_include})")
install(SCRIPT cmake/InstalledLinks.cmake)
install(DIRECTORY include/vkattn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h PATTERN *.hpp)
install(EXPORT vkattn NAMESPACE vkattn:: FILE vkattn-targets.cmake DESTINATION ${package_dir})
# What vkattn_add_score_function needs, in the folders in which the sources have it.
set(shader_dir ${CMAKE_INSTALL_DATADIR}/vkattn)
install(DIRECTORY shaders/include shaders/attention DESTINATION ${shader_dir}/shaders)
install(FILES src/kernels.def DESTINATION ${shader_dir}/src)
install(DIRECTORY cmake/probes DESTINATION ${shader_dir}/cmake)
install(FILES cmake/CodeHash.cmake cmake/Embed.cmake cmake/KernelTable.cmake cmake/ScoreFunctions.cmake DESTINATION ${shader_dir}/cmake)
install(FILES ${PROJECT_BINARY_DIR}/generated/shader_hash.h DESTINATION ${shader_dir})
configure_package_config_file(cmake/vkattn-config.cmake.in vkattn-config.cmake INSTALL_DESTINATION ${package_dir}
                              PATH_VARS shader_dir)
# 0.x promises nothing from one minor version to the next.
write_basic_package_version_file(vkattn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/vkattn-config.cmake ${PROJECT_BINARY_DIR}/vkattn-config-version.cmake
        DESTINATION ${package_dir})

# The prefix is written relative to the .pc file, so that the installed tree can be moved.
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR absolute)
if(absolute)
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
    file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    set(pc_prefix "\${pcfiledir}/${up}")
endif()
configure_file(vkattn.pc.in vkattn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/vkattn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET vkattn_nn)
    configure_file(vkattn_nn.pc.in vkattn_nn.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/vkattn_nn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
