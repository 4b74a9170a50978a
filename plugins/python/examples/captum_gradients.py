"""Captum's gradient methods on any backend that shows gradients: `pip install captum` into the interpreter that installs this file."""

import captum.attr
import numpy as np
import torch

import medfocus


class Objective(torch.autograd.Function):
    """The answer's log-probability on grey images (N, 224, 224) from 0 to 1; the host gives value and gradient in one pass."""

    @staticmethod
    def forward(ctx, grey, look):
        values, gradients = look(grey)
        ctx.save_for_backward(gradients)
        return values

    @staticmethod
    def backward(ctx, weights):
        (gradients,) = ctx.saved_tensors
        return weights[:, None, None] * gradients, None


class CaptumGradients(medfocus.Method):
    """Gradients by Captum (Kokhlikyan et al., 2020): integrated gradients, saliency or SmoothGrad of the working image."""

    name = "captum_gradients"
    needs = ("trace", "gradient")
    algorithm = medfocus.param(
        "integrated_gradients", "Which of Captum's.", choices=("integrated_gradients", "saliency", "smoothgrad")
    )
    steps = medfocus.param(24, "Steps of integrated gradients, or noisy images of SmoothGrad.", minimum=1, maximum=512)
    noise = medfocus.param(0.1, "Standard deviation of SmoothGrad's noise, of the white's 1.", minimum=0.0, maximum=1.0)

    def attribute(self, task):
        torch.manual_seed(task.seed)
        grey = torch.from_numpy(task.image / np.float32(255))[None]
        look = Look(task)

        def objective(images):
            return Objective.apply(images, look)

        saliency = captum.attr.Saliency(objective)
        if self.algorithm == "saliency":
            found = saliency.attribute(grey)
        elif self.algorithm == "smoothgrad":
            tunnel = captum.attr.NoiseTunnel(saliency)
            found = tunnel.attribute(grey, nt_type="smoothgrad", nt_samples=self.steps, stdevs=self.noise)
        else:
            integrated = captum.attr.IntegratedGradients(objective)
            found = integrated.attribute(grey, n_steps=self.steps, internal_batch_size=1)
        heat = found[0].abs().detach().numpy()
        # Those of integrated gradients add up to what the answer's log-probability gains from black to the image.
        evidence = {"sum": float(found.sum()), "passes": look.passes}
        return medfocus.Attribution(heat=heat / heat.max() if heat.any() else heat, evidence=evidence)


class Look:
    """What the model sees of grey images: log-probabilities of the answer (N) and their gradients (N, 224, 224)."""

    def __init__(self, task):
        self.task, self.passes = task, 0
        pixels = torch.from_numpy(np.array(self.trace(task.image).pixel_values))
        # The model stretches the image, here by the rule that most have, then shifts and scales each colour: pixels = scale * stretched + shift.
        self.size = pixels.shape[-2:]
        stretched = self.stretch(torch.from_numpy(task.image / np.float32(255))[None])[0, 0]
        self.scale = pixels.std((1, 2)) / stretched.std().clamp_min(1e-6)

    def trace(self, image):
        self.task.step(self.passes, 0, "passes")
        self.passes += 1
        return self.task.model.trace(["gradient:pixels"], image=image)

    def stretch(self, grey):
        return torch.nn.functional.interpolate(grey[:, None], self.size, mode="bilinear", antialias=True)

    def __call__(self, grey):
        traces = [self.trace(np.rint(image.clip(0, 1) * 255).astype(np.uint8)) for image in grey.detach().numpy()]
        gradients = np.stack([trace.captures["gradient:pixels"] for trace in traces])
        stretched_gradients = torch.einsum("nchw,c->nhw", torch.from_numpy(gradients), self.scale)
        with torch.enable_grad():
            images = grey.detach().requires_grad_()
            (gradients,) = torch.autograd.grad(self.stretch(images), images, stretched_gradients[:, None])
        return torch.tensor([trace.objective for trace in traces]), gradients
