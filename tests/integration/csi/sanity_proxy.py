"""Between csi-sanity and the driver: what csi-sanity cannot know of, and what it takes for granted.

It knows no kubelet: this proxy adds to each publish the pod's information and the class, makes it
read-only, and makes a relative path absolute. It makes volumes through a controller, which a driver of
ephemeral volumes has none of: this proxy is one. Everything else goes through as it came, byte for
byte, and so do all answers of the driver but the capabilities, to which the controller is added.
"""

import concurrent.futures
import hashlib
import threading

import grpc
from kubelet import decode, encode, entries


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, proxy):
        self.proxy = proxy

    def service(self, details):
        method = details.method
        return grpc.unary_unary_rpc_method_handler(
            lambda body, context: self.proxy.answer(method, body, context)
        )


class SanityProxy:
    def __init__(self, kubelet, pod, class_name, socket):
        self.kubelet, self.pod, self.class_name = kubelet, pod, class_name
        self.calls = {}  # method: how often
        self._lock = threading.Lock()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers([_Handlers(self)])
        self._server.add_insecure_port(f"unix:{socket}")
        self._server.start()

    def close(self):
        self._server.stop(None).wait()

    def answer(self, method, body, context):
        with self._lock:
            self.calls[method] = self.calls.get(method, 0) + 1
        if method.startswith("/csi.v1.Controller/"):
            return self._control(method.rpartition("/")[2], body, context)
        if method == "/csi.v1.Node/NodePublishVolume":
            # Members that come later win, and entries of a map are added.
            added = {6: True, 8: entries(self.pod.context(self.class_name))}
            body += encode(added)
        if method == "/csi.v1.Node/NodeGetVolumeStats":
            # It asks about "some/path", but volume_path "MUST be an absolute path" (csi.proto), and
            # what is not is refused as such before it is looked for.
            path = decode(body).get(2, [b""])[0].decode()
            if path and not path.startswith("/"):
                body += encode({2: f"{self.kubelet.folder}/{path}"})
        try:
            with self.kubelet.connect() as channel:
                answer = channel.unary_unary(method)(body, timeout=60)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        if method == "/csi.v1.Identity/GetPluginCapabilities":
            answer += encode({1: [{1: {1: 1}}]})  # CONTROLLER_SERVICE
        return answer

    @staticmethod
    def _control(name, body, context):
        request = decode(body)
        if name == "ControllerGetCapabilities":
            return encode({1: [{1: {1: 1}}]})  # CREATE_DELETE_VOLUME
        if name == "CreateVolume":
            volume_id = "csi-" + hashlib.sha256(request[1][0]).hexdigest()
            return encode({1: {2: volume_id}})
        if name == "DeleteVolume":
            return b""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        return b""
