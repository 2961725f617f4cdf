//! A real X client: a game of one window that draws known colours and writes down what it is told.

use std::os::unix::net::UnixStream;

use media::Rect;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AutoRepeatMode, ChangeGCAux, ChangeKeyboardControlAux, ConnectionExt as _, CreateGCAux,
    CreateWindowAux, EventMask, Gcontext, InputFocus, Window, WindowClass,
};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

use crate::server::{COOKIE_BYTES, Server};

/// Waits until the server has done what this connection asked for, and told others of it: one of its answers may leave before
/// what others are told, and the next one does not.
pub(crate) fn told(x: &RustConnection) {
    x.sync().unwrap();
    x.sync().unwrap();
}

pub(crate) struct Client {
    pub x: RustConnection,
    pub window: Window,
    pub root: Window,
    pen: Gcontext,
}

impl Client {
    /// A window over the whole of a screen of this size, black, with the keyboard.
    pub(crate) fn open(server: &Server, width: u16, height: u16) -> Self {
        let socket = UnixStream::connect(server.socket()).unwrap();
        let (stream, _) = DefaultStream::from_unix_stream(socket).unwrap();
        let name = b"MIT-MAGIC-COOKIE-1".to_vec();
        let cookie = COOKIE_BYTES.to_vec();
        let x = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie).unwrap();
        let root = x.setup().roots[0].root;
        let [window, pen] = [(); 2].map(|()| x.generate_id().unwrap());
        let mask = EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION
            | EventMask::EXPOSURE;
        let look = CreateWindowAux::new().background_pixel(0).override_redirect(1).event_mask(mask);
        let class = WindowClass::INPUT_OUTPUT;
        x.create_window(24, window, root, 0, 0, width, height, 0, class, 0, &look).unwrap();
        x.create_gc(pen, window, &CreateGCAux::new()).unwrap();
        x.map_window(window).unwrap();
        x.flush().unwrap();
        while !matches!(x.wait_for_event().unwrap(), Event::Expose(_)) {}
        x.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME).unwrap();
        // A key that is held while the machine is slow must not look like one that is struck again.
        let quiet = ChangeKeyboardControlAux::new().auto_repeat_mode(AutoRepeatMode::OFF);
        x.change_keyboard_control(&quiet).unwrap();
        x.sync().unwrap();
        Self { x, window, root, pen }
    }

    /// Fills a rectangle with 0xRRGGBB; when it returns, the server has done it, and told of it.
    pub(crate) fn fill(&self, rect: Rect, rgb: u32) {
        let Rect { x, y, width, height } = rect;
        let rectangle = x11rb::protocol::xproto::Rectangle {
            x: x as i16,
            y: y as i16,
            width: width as u16,
            height: height as u16,
        };
        let look = ChangeGCAux::new().foreground(rgb);
        self.x.change_gc(self.pen, &look).unwrap();
        self.x.poly_fill_rectangle(self.window, self.pen, &[rectangle]).unwrap();
        told(&self.x);
    }

    /// The next event that is none of drawing and none of what is told to everybody.
    pub(crate) fn event(&self) -> Event {
        loop {
            match self.x.wait_for_event().unwrap() {
                Event::Expose(_) | Event::MappingNotify(_) => {}
                event => return event,
            }
        }
    }
}
