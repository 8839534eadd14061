"""Conan 2 recipe of vkattn, which packs the sources that it lies in: conan create packaging/conan --build=missing."""
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rm, rmdir
from conan.tools.gnu import PkgConfigDeps

required_conan_version = ">=2.0"


class Vkattn(ConanFile):
    name = "vkattn"
    license = "MIT"
    description = "Attention and the operations around it on any Vulkan device, as a C library"
    topics = ("vulkan", "attention", "transformer")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "nn": [True, False]}
    default_options = {"shared": True, "nn": False}

    @property
    def _root(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        header = load(self, os.path.join(self._root, "include", "vkattn", "vkattn.h"))
        self.version = ".".join(re.search(rf"#define VKA_VERSION_{part} (\d+)", header)[1]
                                for part in ("MAJOR", "MINOR", "PATCH"))

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "*.pc.in", "LICENSE", "*.md", "cmake/*", "docs/*", "examples/*", "bench/README.md",
                        "include/*", "nn/*", "shaders/*", "src/*"):
            copy(self, pattern, self._root, self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("vkattn has been built on Linux alone")
        if self.options.nn and not self.options.shared:
            raise ConanInvalidConfiguration("vkattn_nn is a shared library, on the shared vkattn")

    def requirements(self):
        # Headers that are compiled in: whoever uses the package needs none of them.
        self.requires("volk/[>=1.3.268]", visible=False)
        self.requires("vulkan-memory-allocator/3.1.0", visible=False)
        self.requires("jsmn/1.1.0", visible=False)
        if self.options.nn:
            self.requires("cjson/[>=1.7 <2]")

    def build_requirements(self):
        self.tool_requires("cmake/[>=3.25]")
        self.tool_requires("glslang/[>=1.3.268]")
        if self.options.nn:
            self.tool_requires("pkgconf/[>=2]")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        for part in ("TESTS", "BENCH", "EXAMPLES"):
            toolchain.cache_variables[f"VKATTN_{part}"] = False
        toolchain.cache_variables["VKATTN_NN"] = bool(self.options.nn)
        toolchain.generate()
        if self.options.nn:
            PkgConfigDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        for folder in ("lib/cmake", "lib/pkgconfig", "share"):
            rmdir(self, os.path.join(self.package_folder, folder))
        # The project builds both libraries.
        rm(self, "*.a" if self.options.shared else "*.so*", os.path.join(self.package_folder, "lib"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "vkattn")
        core = self.cpp_info.components["vkattn"]
        core.set_property("cmake_target_name", "vkattn::vkattn" if self.options.shared else "vkattn::vkattn_static")
        core.libs = ["vkattn"]
        core.system_libs = ["pthread", "dl", "m"]
        if self.options.nn:
            layers = self.cpp_info.components["vkattn_nn"]
            layers.set_property("cmake_target_name", "vkattn::vkattn_nn")
            layers.libs = ["vkattn_nn"]
            layers.requires = ["vkattn", "cjson::cjson"]
