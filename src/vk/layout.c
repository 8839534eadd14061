/* The one layout of descriptor sets and pipelines.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

static VkDescriptorType type_of(uint32_t binding) {
    return binding == VKA_BIND_PARAMS ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
}

static vka_status create_set_layout(vka_device *d, const char *item) {
    VkDescriptorSetLayoutBinding bindings[VKA_MAX_BINDINGS];
    for (uint32_t i = 0; i < d->binding_count; ++i)
        bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                     .descriptorType = type_of(i),
                                                     .descriptorCount = 1,
                                                     .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                  .bindingCount = d->binding_count,
                                                  .pBindings = bindings};
    VkResult result = d->vk.vkCreateDescriptorSetLayout(d->handle, &info, NULL, &d->set_layout);
    if (result != VK_SUCCESS)
        d->set_layout = VK_NULL_HANDLE;
    return vka__vk_status(&d->ctx, result, item, "vkCreateDescriptorSetLayout");
}

/* Sets are written while recording: a template spares the driver from reading eighteen structures each time. */
static vka_status create_template(vka_device *d, const char *item) {
    VkDescriptorUpdateTemplateEntry entries[VKA_MAX_BINDINGS];
    for (uint32_t i = 0; i < d->binding_count; ++i)
        entries[i] = (VkDescriptorUpdateTemplateEntry){.dstBinding = i,
                                                       .descriptorCount = 1,
                                                       .descriptorType = type_of(i),
                                                       .offset = i * sizeof(VkDescriptorBufferInfo),
                                                       .stride = sizeof(VkDescriptorBufferInfo)};
    const VkDescriptorUpdateTemplateCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_UPDATE_TEMPLATE_CREATE_INFO,
        .descriptorUpdateEntryCount = d->binding_count,
        .pDescriptorUpdateEntries = entries,
        .templateType = VK_DESCRIPTOR_UPDATE_TEMPLATE_TYPE_DESCRIPTOR_SET,
        .descriptorSetLayout = d->set_layout};
    VkResult result = d->vk.vkCreateDescriptorUpdateTemplate(d->handle, &info, NULL, &d->set_template);
    if (result != VK_SUCCESS)
        d->set_template = VK_NULL_HANDLE;
    return vka__vk_status(&d->ctx, result, item, "vkCreateDescriptorUpdateTemplate");
}

static vka_status create_pipeline_layout(vka_device *d, const char *item) {
    const VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = sizeof(vka_push)};
    const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .setLayoutCount = 1,
                                             .pSetLayouts = &d->set_layout,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &push};
    VkResult result = d->vk.vkCreatePipelineLayout(d->handle, &info, NULL, &d->pipeline_layout);
    if (result != VK_SUCCESS)
        d->pipeline_layout = VK_NULL_HANDLE;
    return vka__vk_status(&d->ctx, result, item, "vkCreatePipelineLayout");
}

vka_status vka__layouts_create(vka_device *d, const char *item) {
    d->binding_count = vka__min_u32(VKA_MAX_BINDINGS, d->caps.storage_buffers + 1);
    vka_status status = create_set_layout(d, item);
    if (status == VKA_OK)
        status = create_template(d, item);
    return status == VKA_OK ? create_pipeline_layout(d, item) : status;
}

void vka__layouts_destroy(vka_device *d) {
    if (d->pipeline_layout)
        d->vk.vkDestroyPipelineLayout(d->handle, d->pipeline_layout, NULL);
    if (d->set_template)
        d->vk.vkDestroyDescriptorUpdateTemplate(d->handle, d->set_template, NULL);
    if (d->set_layout)
        d->vk.vkDestroyDescriptorSetLayout(d->handle, d->set_layout, NULL);
}
