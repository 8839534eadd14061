/* SPDX-License-Identifier: MIT */
#include "frame/screen.h"

#include "common/png_file.h"
#include "common/program.h"

#include <stdlib.h>

/* Four bytes a pixel, in one of the two orders that every desktop has. */
static VkFormat choose_format(const gpu *g) {
    VkSurfaceFormatKHR formats[64];
    uint32_t count = 64;
    vkGetPhysicalDeviceSurfaceFormatsKHR(g->physical, g->surface, &count, formats);
    for (uint32_t i = 0; i < count; i++) {
        if (formats[i].format == VK_FORMAT_B8G8R8A8_UNORM || formats[i].format == VK_FORMAT_R8G8B8A8_UNORM) {
            return formats[i].format;
        }
    }
    fail("the window has no format of eight bits a colour");
}

void screen_open(screen *s, const gpu *g) {
    *s = (screen){.format = choose_format(g)};
    VkAttachmentDescription colour = {.format = s->format,
                                      .samples = VK_SAMPLE_COUNT_1_BIT,
                                      .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
                                      .storeOp = VK_ATTACHMENT_STORE_OP_STORE,
                                      .stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
                                      .stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
                                      .finalLayout = VK_IMAGE_LAYOUT_PRESENT_SRC_KHR};
    VkAttachmentReference target = {0, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL};
    VkSubpassDescription subpass = {
        .pipelineBindPoint = VK_PIPELINE_BIND_POINT_GRAPHICS, .colorAttachmentCount = 1, .pColorAttachments = &target};
    /* The image is ours from the stage on that waits for it. */
    VkSubpassDependency begin = {.srcSubpass = VK_SUBPASS_EXTERNAL,
                                 .srcStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
                                 .dstStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
                                 .dstAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT};
    VkSubpassDependency end = {.dstSubpass = VK_SUBPASS_EXTERNAL,
                               .srcStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
                               .srcAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT,
                               .dstStageMask = VK_PIPELINE_STAGE_TRANSFER_BIT,
                               .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT};
    VkSubpassDependency dependencies[] = {begin, end};
    VkRenderPassCreateInfo info = {.sType = VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO,
                                   .attachmentCount = 1,
                                   .pAttachments = &colour,
                                   .subpassCount = 1,
                                   .pSubpasses = &subpass,
                                   .dependencyCount = 2,
                                   .pDependencies = dependencies};
    vk_check(vkCreateRenderPass(g->device, &info, NULL, &s->pass), "vkCreateRenderPass");
}

static void destroy_images(screen *s, const gpu *g) {
    for (uint32_t i = 0; i < s->count; i++) {
        vkDestroyFramebuffer(g->device, s->framebuffers[i], NULL);
        vkDestroyImageView(g->device, s->views[i], NULL);
        vkDestroySemaphore(g->device, s->drawn[i], NULL);
    }
    s->count = 0;
}

void screen_close(screen *s, const gpu *g) {
    destroy_images(s, g);
    vkDestroySwapchainKHR(g->device, s->chain, NULL);
    vkDestroyRenderPass(g->device, s->pass, NULL);
    *s = (screen){0};
}

static void create_image(screen *s, const gpu *g, uint32_t i) {
    VkImageViewCreateInfo view = {.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
                                  .image = s->images[i],
                                  .viewType = VK_IMAGE_VIEW_TYPE_2D,
                                  .format = s->format,
                                  .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
    vk_check(vkCreateImageView(g->device, &view, NULL, &s->views[i]), "vkCreateImageView");
    VkFramebufferCreateInfo framebuffer = {.sType = VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO,
                                           .renderPass = s->pass,
                                           .attachmentCount = 1,
                                           .pAttachments = &s->views[i],
                                           .width = s->size.width,
                                           .height = s->size.height,
                                           .layers = 1};
    vk_check(vkCreateFramebuffer(g->device, &framebuffer, NULL, &s->framebuffers[i]), "vkCreateFramebuffer");
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    vk_check(vkCreateSemaphore(g->device, &semaphore, NULL, &s->drawn[i]), "vkCreateSemaphore");
}

static VkSwapchainCreateInfoKHR describe(const screen *s, const gpu *g, const VkSurfaceCapabilitiesKHR *can) {
    uint32_t images = can->minImageCount + 1;
    return (VkSwapchainCreateInfoKHR){
        .sType = VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR,
        .surface = g->surface,
        .minImageCount = can->maxImageCount && images > can->maxImageCount ? can->maxImageCount : images,
        .imageFormat = s->format,
        .imageColorSpace = VK_COLOR_SPACE_SRGB_NONLINEAR_KHR,
        .imageExtent = s->size,
        .imageArrayLayers = 1,
        .imageUsage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT,
        .preTransform = can->currentTransform,
        .compositeAlpha = VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR,
        .presentMode = VK_PRESENT_MODE_FIFO_KHR, /* waits for the display */
        .clipped = VK_TRUE,
        .oldSwapchain = s->chain,
    };
}

VkResult screen_resize(screen *s, const gpu *g, uint32_t width, uint32_t height) {
    VkSurfaceCapabilitiesKHR can;
    VkResult result = vkDeviceWaitIdle(g->device);
    if (result == VK_ERROR_DEVICE_LOST) {
        return result;
    }
    vk_check(vkGetPhysicalDeviceSurfaceCapabilitiesKHR(g->physical, g->surface, &can), "surface capabilities");
    if (!(can.supportedUsageFlags & VK_IMAGE_USAGE_TRANSFER_SRC_BIT)) {
        fail("the window's images can't be copied");
    }
    destroy_images(s, g);
    s->size = can.currentExtent.width != UINT32_MAX ? can.currentExtent : (VkExtent2D){width, height};
    VkSwapchainKHR old = s->chain;
    s->chain = VK_NULL_HANDLE;
    if (s->size.width && s->size.height) {
        s->chain = old;
        VkSwapchainCreateInfoKHR info = describe(s, g, &can);
        vk_check(vkCreateSwapchainKHR(g->device, &info, NULL, &s->chain), "vkCreateSwapchainKHR");
        s->count = MAX_IMAGES;
        vk_check(vkGetSwapchainImagesKHR(g->device, s->chain, &s->count, s->images), "vkGetSwapchainImagesKHR");
        for (uint32_t i = 0; i < s->count; i++) {
            create_image(s, g, i);
        }
    }
    vkDestroySwapchainKHR(g->device, old, NULL);
    return VK_SUCCESS;
}

void screen_begin_pass(const screen *s, VkCommandBuffer commands, uint32_t image) {
    VkClearValue night = {.color = {.float32 = {0.035f, 0.04f, 0.07f, 1}}};
    VkRenderPassBeginInfo info = {.sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO,
                                  .renderPass = s->pass,
                                  .framebuffer = s->framebuffers[image],
                                  .renderArea = {.extent = s->size},
                                  .clearValueCount = 1,
                                  .pClearValues = &night};
    VkViewport viewport = {0, 0, (float)s->size.width, (float)s->size.height, 0, 1};
    vkCmdBeginRenderPass(commands, &info, VK_SUBPASS_CONTENTS_INLINE);
    vkCmdSetViewport(commands, 0, 1, &viewport);
    vkCmdSetScissor(commands, 0, 1, &info.renderArea);
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

static void change_layout(VkCommandBuffer commands, VkImage image, VkImageLayout from, VkImageLayout to,
                          VkAccessFlags before, VkAccessFlags after) {
    VkImageMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
                                    .srcAccessMask = before,
                                    .dstAccessMask = after,
                                    .oldLayout = from,
                                    .newLayout = to,
                                    .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                    .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                    .image = image,
                                    .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL,
                         1, &barrier);
}

void screen_copy(const screen *s, VkCommandBuffer commands, uint32_t image, const memory *to) {
    const VkImageLayout shown = VK_IMAGE_LAYOUT_PRESENT_SRC_KHR, read = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                              .imageExtent = {s->size.width, s->size.height, 1}};
    change_layout(commands, s->images[image], shown, read, 0, VK_ACCESS_TRANSFER_READ_BIT);
    vkCmdCopyImageToBuffer(commands, s->images[image], read, to->buffer, 1, &copy);
    change_layout(commands, s->images[image], read, shown, 0, 0);
    VkMemoryBarrier host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                            .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &host, 0, NULL, 0,
                         NULL);
}

bool screen_save(const screen *s, const memory *from, const char *path) {
    size_t count = (size_t)s->size.width * s->size.height;
    uint8_t *rgb = allocate(count, 3);
    const uint8_t *pixels = from->mapped;
    int red = s->format == VK_FORMAT_B8G8R8A8_UNORM ? 2 : 0;
    for (size_t i = 0; i < count; i++) {
        rgb[3 * i] = pixels[4 * i + (size_t)red];
        rgb[3 * i + 1] = pixels[4 * i + 1];
        rgb[3 * i + 2] = pixels[4 * i + 2 - (size_t)red];
    }
    bool saved = png_file_save(path, s->size.width, s->size.height, rgb);
    free(rgb);
    return saved;
}
