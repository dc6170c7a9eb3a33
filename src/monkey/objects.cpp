#include "monkey/objects.hpp"

#include "monkey/symbols.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <cstring>

namespace fern::monkey {
namespace {

// What of an object's dynamic section leads to its imports.
struct Tables {
  explicit Tables(const link_map& object) {
    for (const ElfW(Dyn)* entry = object.l_ld; entry->d_tag != DT_NULL; ++entry) {
      auto value = static_cast<std::uintptr_t>(entry->d_un.d_val);
      // The loader has made addresses of the offsets, but for objects that it may not write to.
      std::uintptr_t address = value < object.l_addr ? value + object.l_addr : value;
      switch (entry->d_tag) {
        case DT_SYMTAB:
          symbols = reinterpret_cast<const ElfW(Sym)*>(address);
          break;
        case DT_STRTAB:
          strings = reinterpret_cast<const char*>(address);
          break;
        case DT_RELA:
          data = reinterpret_cast<const ElfW(Rela)*>(address);
          break;
        case DT_RELASZ:
          data_count = value / sizeof(ElfW(Rela));
          break;
        case DT_JMPREL:
          calls = reinterpret_cast<const ElfW(Rela)*>(address);
          break;
        case DT_PLTRELSZ:
          calls_count = value / sizeof(ElfW(Rela));
          break;
        default:
          break;
      }
    }
  }

  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
  const ElfW(Rela) * data = nullptr;
  std::size_t data_count = 0;
  const ElfW(Rela) * calls = nullptr;
  std::size_t calls_count = 0;
};

void collect(const link_map& object, const Tables& tables, const ElfW(Rela) * slots,
             std::size_t count, std::vector<Import>& into) {
  for (std::size_t i = 0; slots != nullptr && i < count; ++i) {
    const ElfW(Sym)& symbol = tables.symbols[ELF64_R_SYM(slots[i].r_info)];
    if (symbol.st_name == 0 || symbol.st_shndx != SHN_UNDEF) continue;
    const char* name = tables.strings + symbol.st_name;
    if (wrapper_of(name) == nullptr) continue;
    auto* slot = reinterpret_cast<char**>(object.l_addr + slots[i].r_offset);
    into.push_back({object.l_name, name, *slot - slots[i].r_addend});
  }
}

// Called with the loader's list locked: dl_iterate_phdr itself shows one namespace only.
int look(dl_phdr_info*, std::size_t, void* context) {
  auto& found = *static_cast<Loaded*>(context);
  const auto* space = reinterpret_cast<const r_debug_extended*>(&_r_debug);
  while (space != nullptr) {
    for (const link_map* object = space->base.r_map; object != nullptr; object = object->l_next) {
      Tables tables(*object);
      found.objects.emplace_back(object->l_name);
      if (tables.symbols == nullptr || tables.strings == nullptr) continue;
      collect(*object, tables, tables.data, tables.data_count, found.imports);
      collect(*object, tables, tables.calls, tables.calls_count, found.imports);
    }
    space = space->base.r_version > 1 ? space->r_next : nullptr;
  }
  return 1;
}

// The object of an address: null when there is none.
const link_map* object_of(void* address) {
  Dl_info info{};
  void* object = nullptr;
  if (dladdr1(address, &info, &object, RTLD_DL_LINKMAP) == 0) return nullptr;
  return static_cast<const link_map*>(object);
}

// A sanitizer's runtime catches libc's calls and hands them to the next definition.
bool sanitizer(const link_map* object) {
  for (const char* entry : {"__asan_init", "__tsan_init", "__msan_init"}) {
    void* address = dlsym(RTLD_DEFAULT, entry);
    if (address != nullptr && object_of(address) == object) return true;
  }
  return false;
}

// A program that is not position-independent has an address of its own for a function of a library.
bool undefined_there(void* address) {
  Dl_info info{};
  void* symbol = nullptr;
  if (dladdr1(address, &info, &symbol, RTLD_DL_SYMENT) == 0 || symbol == nullptr) return false;
  return static_cast<const ElfW(Sym)*>(symbol)->st_shndx == SHN_UNDEF;
}

// Whether ours is the first definition behind the object's, in the order in which names are found.
bool next_is_ours(const link_map* object) {
  const link_map* ours = object_of(wrapper_of("recv"));
  for (; object != nullptr; object = object->l_next) {
    if (object == ours) return true;
    if (std::strstr(object->l_name, "/libc.so") != nullptr) return false;
  }
  return false;
}

}  // namespace

Loaded loaded() {
  Loaded found;
  dl_iterate_phdr(look, &found);
  // A slot that is not bound yet leads back into its own object.
  for (Import& import : found.imports) {
    const link_map* target = object_of(import.reached);
    if (target != nullptr && target->l_name == import.object && !undefined_there(import.reached)) {
      import.reached = nullptr;
    }
  }
  return found;
}

bool reaches(const char* name, void* address) {
  if (address == wrapper_of(name)) return true;
  const link_map* object = object_of(address);
  if (object == nullptr) return false;
  if (sanitizer(object) || undefined_there(address)) return next_is_ours(object);
  return false;
}

std::string file_of(void* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "?";
}

}  // namespace fern::monkey
