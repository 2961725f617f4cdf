use super::*;
use crate::scene::{Aabb, Camera, Node, Transform};

fn scene() -> Scene {
    let camera = Camera {
        projection: Projection::Perspective { fov_y: 0.8 },
        near: 0.1,
        far: f32::INFINITY,
    };
    let rest = Transform { translation: Vec3::new(0.0, 1.7, 5.0), ..Transform::default() };
    Scene {
        nodes: vec![Node { rest, camera: Some(0), ..Node::default() }],
        cameras: vec![camera],
        bounds: Aabb { min: Vec3::splat(-20.0), max: Vec3::splat(20.0) },
        ..Scene::default()
    }
}

fn key(code: KeyCode, pressed: bool) -> InputEvent {
    InputEvent::Key { code, pressed }
}

fn touch(finger: u8, phase: TouchPhase, x: f32, y: f32) -> InputEvent {
    let wire = |part: f32| (part * 65_535.0) as u16;
    InputEvent::Touch { finger, phase, x: wire(x), y: wire(y), pressure: 65_535 }
}

fn ms(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

/// W for 700 ms at some frame rate, then rest: the way covered.
fn walk(frames_per_second: u64) -> Vec3 {
    let mut rig = CameraRig::new(&scene());
    let start = rig.advance(ms(0)).position;
    // Between frames on purpose.
    let events = [(ms(203), key(KeyCode::W, true)), (ms(903), key(KeyCode::W, false))];
    let mut events = events.iter().peekable();
    let mut end = start;
    for frame in 1..=frames_per_second * 3 {
        let now = MediaTime::from_nanos(frame * 1_000_000_000 / frames_per_second);
        while let Some((at, event)) = events.next_if(|(at, _)| *at <= now) {
            assert_eq!(rig.handle(event, *at), None);
        }
        end = rig.advance(now).position;
    }
    assert!(!rig.is_moving());
    end - start
}

#[test]
fn w_goes_forward_the_same_way_at_any_frame_rate() {
    let (slow, fast) = (walk(30), walk(144));
    assert!(slow.z < -1.0 && slow.x.abs() < 1e-4 && slow.y.abs() < 1e-4, "{slow}");
    assert!((slow.z - fast.z).abs() < 0.01 * fast.z.abs(), "{slow} {fast}");
    // What the start lags behind, the stop adds: speed times time is left.
    assert!((fast.z + 4.0 * 0.7).abs() < 0.01, "{fast}");
}

#[test]
fn it_starts_at_the_camera_of_the_scene() {
    let mut rig = CameraRig::new(&scene());
    assert_eq!(rig.mode(), CameraMode::FirstPerson);
    let pose = rig.advance(ms(0));
    assert_eq!(pose.position, Vec3::new(0.0, 1.7, 5.0));
    assert_eq!(pose.fov_y, 0.8);
    assert!((pose.orientation * Vec3::NEG_Z).abs_diff_eq(Vec3::NEG_Z, 1e-6));
}

#[test]
fn a_turned_camera_is_matched() {
    let forward = Vec3::new(-0.6, -0.5, 0.4).normalize();
    let mut scene = scene();
    scene.nodes[0].rest.rotation = Quat::from_rotation_arc(Vec3::NEG_Z, forward);
    let pose = CameraRig::new(&scene).advance(ms(0));
    assert!((pose.orientation * Vec3::NEG_Z).abs_diff_eq(forward, 1e-4));
}

#[test]
fn without_a_camera_everything_is_in_view() {
    let mut scene = scene();
    scene.nodes.clear();
    scene.bounds = Aabb { min: Vec3::new(9.0, 0.0, 0.0), max: Vec3::new(11.0, 4.0, 2.0) };
    let mut rig = CameraRig::new(&scene);
    assert_eq!(rig.mode(), CameraMode::Orbit);
    let pose = rig.advance(ms(0));
    let inverse = pose.orientation.inverse();
    for corner in 0..8 {
        let pick =
            |axis: usize| if corner >> axis & 1 == 0 { scene.bounds.min } else { scene.bounds.max }[axis];
        let seen = inverse * (Vec3::new(pick(0), pick(1), pick(2)) - pose.position);
        assert!(seen.y.abs() < -seen.z * (pose.fov_y * 0.5).tan(), "{seen}");
    }
}

#[test]
fn totals_wrap() {
    let mut rig = CameraRig::new(&scene());
    let relative = |total_x, total_y| InputEvent::PointerRelative { total_x, total_y };
    rig.handle(&InputEvent::ReleaseAll, ms(0));
    // The first after a break only sets the count.
    rig.handle(&relative(i32::MAX - 79, 0), ms(1));
    let before = rig.advance(ms(2)).orientation;
    rig.handle(&relative(i32::MIN + 80, 0), ms(3));
    assert!(rig.is_moving());
    let after = rig.advance(ms(4)).orientation;
    // 160/16 pixels to the right: the view turns right by 0.02 rad.
    let forward = before.inverse() * after * Vec3::NEG_Z;
    assert!((forward.x - 0.02_f32.sin()).abs() < 1e-5, "{forward}");
    assert!(!rig.is_moving());
}

#[test]
fn the_first_total_counts_from_the_start_of_the_session() {
    let mut rig = CameraRig::new(&scene());
    rig.handle(&InputEvent::PointerRelative { total_x: 0, total_y: 1_600 }, ms(1));
    let forward = rig.advance(ms(2)).orientation * Vec3::NEG_Z;
    assert!((forward.y + 0.2_f32.sin()).abs() < 1e-5, "down looks down: {forward}");
}

#[test]
fn pitch_is_clamped() {
    let mut rig = CameraRig::new(&scene());
    rig.handle(&InputEvent::PointerRelative { total_x: 0, total_y: -1_000_000 }, ms(1));
    let up = rig.advance(ms(2)).orientation * Vec3::Y;
    assert!(up.y > 0.0, "never upside down: {up}");
}

#[test]
fn release_all_stops() {
    let mut rig = CameraRig::new(&scene());
    rig.advance(ms(0));
    rig.handle(&key(KeyCode::W, true), ms(0));
    rig.handle(&key(KeyCode::SHIFT_LEFT, true), ms(0));
    rig.handle(&touch(1, TouchPhase::Start, 0.2, 0.5), ms(0));
    rig.handle(&touch(1, TouchPhase::Move, 0.2, 0.3), ms(0));
    rig.advance(ms(500));
    rig.handle(&InputEvent::ReleaseAll, ms(500));
    rig.advance(ms(3_000));
    let still = rig.advance(ms(3_100)).position;
    assert!(!rig.is_moving());
    assert_eq!(rig.advance(ms(9_000)).position, still);
}

#[test]
fn a_press_without_a_drag_clicks() {
    let mut rig = CameraRig::new(&scene());
    let button = |pressed| InputEvent::Button { button: PointerButton::Left, pressed };
    let point = |x, y| InputEvent::PointerAbsolute { x, y };
    rig.handle(&point(49_151, 16_384), ms(0));
    assert_eq!(rig.handle(&button(true), ms(1)), None);
    let click = rig.handle(&button(false), ms(2)).expect("a click");
    assert!(click.ndc.abs_diff_eq(Vec2::new(0.5, 0.5), 1e-3), "{click:?}");

    let before = rig.advance(ms(3)).orientation;
    rig.handle(&button(true), ms(4));
    rig.handle(&point(52_000, 16_384), ms(5));
    assert_eq!(rig.handle(&button(false), ms(6)), None, "a drag is no click");
    assert_ne!(rig.advance(ms(7)).orientation, before, "a drag looks");

    let before = rig.advance(ms(8)).orientation;
    rig.handle(&point(10_000, 40_000), ms(9));
    assert_eq!(rig.advance(ms(10)).orientation, before, "a free pointer does not look");
    assert_eq!(rig.handle(&button(false), ms(11)), None, "a release alone is no click");
}

#[test]
fn a_locked_pointer_clicks_at_the_centre_when_pressed() {
    let mut rig = CameraRig::new(&scene());
    rig.handle(&InputEvent::PointerRelative { total_x: 5, total_y: 5 }, ms(0));
    let press = InputEvent::Button { button: PointerButton::Left, pressed: true };
    assert_eq!(rig.handle(&press, ms(1)), Some(Click { ndc: Vec2::ZERO }));
    let release = InputEvent::Button { button: PointerButton::Left, pressed: false };
    assert_eq!(rig.handle(&release, ms(2)), None);
}

#[test]
fn fingers_move_look_and_tap() {
    let mut rig = CameraRig::new(&scene());
    let start = rig.advance(ms(0));
    rig.handle(&touch(1, TouchPhase::Start, 0.2, 0.6), ms(0));
    rig.handle(&touch(1, TouchPhase::Move, 0.2, 0.4), ms(0));
    rig.handle(&touch(2, TouchPhase::Start, 0.8, 0.5), ms(0));
    let walked = rig.advance(ms(500));
    assert!(walked.position.z < start.position.z - 0.5, "the left thumb walks");
    rig.handle(&touch(2, TouchPhase::Move, 0.9, 0.5), ms(500));
    let turned = rig.advance(ms(501));
    assert!((turned.orientation * Vec3::NEG_Z).x > 0.1, "the right thumb looks");
    assert_eq!(rig.handle(&touch(1, TouchPhase::End, 0.2, 0.4), ms(600)), None);
    assert_eq!(rig.handle(&touch(2, TouchPhase::Cancel, 0.9, 0.5), ms(600)), None);

    rig.handle(&touch(3, TouchPhase::Start, 0.25, 0.75), ms(700));
    let tap = rig.handle(&touch(3, TouchPhase::End, 0.25, 0.75), ms(800)).expect("a tap");
    assert!(tap.ndc.abs_diff_eq(Vec2::new(-0.5, -0.5), 1e-3));
    rig.handle(&touch(3, TouchPhase::Start, 0.25, 0.75), ms(900));
    assert_eq!(rig.handle(&touch(3, TouchPhase::End, 0.25, 0.75), ms(2_000)), None, "too long");
}

#[test]
fn changing_the_mode_keeps_the_view() {
    let mut rig = CameraRig::new(&scene());
    rig.handle(&InputEvent::PointerRelative { total_x: 999, total_y: 777 }, ms(0));
    let before = rig.advance(ms(1));
    for mode in [CameraMode::Orbit, CameraMode::FirstPerson] {
        rig.handle(&key(KEY_V, true), ms(2));
        rig.handle(&key(KEY_V, false), ms(2));
        assert_eq!(rig.mode(), mode);
        let after = rig.advance(ms(3));
        assert!(after.position.abs_diff_eq(before.position, 1e-3), "{before:?} {after:?}");
        assert_eq!(after.orientation, before.orientation);
    }
}

#[test]
fn the_wheel_zooms_in_orbit_and_comes_to_rest() {
    let mut scene = scene();
    scene.nodes.clear();
    let mut rig = CameraRig::new(&scene);
    let far = rig.advance(ms(0)).position.length();
    rig.handle(&InputEvent::Wheel { x: 0, y: -240 }, ms(0));
    assert!(rig.is_moving());
    let near = rig.advance(ms(3_000)).position.length();
    assert!((near / far - 1.0 / (1.15 * 1.15)).abs() < 0.01, "{near} of {far}");
    assert!(!rig.is_moving());
}

#[test]
fn it_stays_near_the_scene() {
    let mut rig = CameraRig::new(&scene());
    rig.handle(&key(KeyCode::W, true), ms(0));
    rig.handle(&key(KeyCode::SHIFT_LEFT, true), ms(0));
    rig.advance(ms(0));
    let end = rig.advance(ms(10_000_000)).position;
    assert!(end.is_finite() && end.length() < 200.0, "{end}");
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut rig = CameraRig::new(&scene());
    rig.advance(ms(1_000));
    rig.handle(&key(KeyCode::W, true), ms(1_000));
    let there = rig.advance(ms(1_100)).position;
    assert_eq!(rig.advance(ms(900)).position, there);
    assert_eq!(rig.advance(ms(1_100)).position, there, "no time is counted twice");
}

#[test]
fn rays_go_through_the_picture() {
    let pose = CameraPose {
        position: Vec3::ONE,
        orientation: Quat::IDENTITY,
        fov_y: FRAC_PI_2,
        near: 0.1,
    };
    assert!(pose.ray(Vec2::ZERO, 2.0).direction.abs_diff_eq(Vec3::NEG_Z, 1e-6));
    let corner = pose.ray(Vec2::ONE, 2.0).direction;
    assert!(corner.abs_diff_eq(Vec3::new(2.0, 1.0, -1.0).normalize(), 1e-6), "{corner}");
}

#[test]
fn the_wheel_turns_in_scenes_of_any_size() {
    for size in [0.0, 1e-30, 1e-8, 1e-5, 1.0, 1e3] {
        let bounds = Aabb { min: Vec3::ZERO, max: Vec3::splat(size) };
        let mut rig = CameraRig::new(&Scene { bounds, ..Scene::default() });
        for y in [i16::MIN, i16::MAX] {
            rig.handle(&InputEvent::Wheel { x: 0, y }, ms(0));
            let pose = rig.advance(ms(5_000));
            let away = (pose.position - bounds.center()).length();
            assert!(pose.near > 0.0 && away >= pose.near && away.is_finite(), "{size}: {pose:?}");
        }
    }
}

#[test]
fn the_near_plane_is_the_cameras_where_that_is_nearer() {
    let near = |near: f32| {
        let mut scene = scene();
        scene.cameras[0].near = near;
        CameraRig::new(&scene).advance(ms(0)).near
    };
    let usual = near(f32::MAX);
    assert_eq!((near(5.0), near(usual / 2.0)), (usual, usual / 2.0));
    // An orthographic one may begin at 0.
    assert!(near(0.0) > 0.0);
}
